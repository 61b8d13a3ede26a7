//! Points in time as text, in UTC.
//!
//! Every request writes two times: that of its access record, and that of its signature. So the
//! digits are written by hand: formatting by the crate `time` takes four times the instructions.
//! The calendar (proleptic Gregorian) is computed here as well: that of `time` takes as many, but
//! would add five crates. Never fails: a time before 1970 is written as 1970-01-01T00:00:00, a time
//! after the year 9999 as the last second of 9999.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last second with a four-digit year: 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;
const SECONDS_PER_DAY: u64 = 86_400;

/// The components of a time in UTC.
struct CivilTime {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u32,
}

/// Formats in RFC 3339 with milliseconds: `2026-01-02T03:04:05.678Z`.
pub fn rfc3339_millis(time: SystemTime) -> String {
    let mut text = String::with_capacity(24);
    push_rfc3339_millis(&mut text, time);
    text
}

/// Appends the time in RFC 3339 with milliseconds.
pub fn push_rfc3339_millis(text: &mut String, time: SystemTime) {
    let at = civil_time(time);
    push_two_digits(text, at.year / 100);
    push_two_digits(text, at.year);
    for (separator, value) in [
        ('-', at.month),
        ('-', at.day),
        ('T', at.hour),
        (':', at.minute),
        (':', at.second),
    ] {
        text.push(separator);
        push_two_digits(text, value);
    }
    text.push('.');
    let millisecond = u64::from(at.millisecond);
    push_two_digits(text, millisecond / 10);
    text.push(digit(millisecond));
    text.push('Z');
}

/// Appends the time in the basic format of ISO 8601, in seconds: `20260102T030405Z`.
pub fn push_basic_utc(text: &mut String, time: SystemTime) {
    let at = civil_time(time);
    for value in [at.year / 100, at.year, at.month, at.day] {
        push_two_digits(text, value);
    }
    text.push('T');
    for value in [at.hour, at.minute, at.second] {
        push_two_digits(text, value);
    }
    text.push('Z');
}

/// Appends the last two digits.
fn push_two_digits(text: &mut String, value: u64) {
    text.push(digit(value / 10));
    text.push(digit(value));
}

/// The last digit.
fn digit(value: u64) -> char {
    char::from(b'0' + u8::try_from(value % 10).unwrap_or_default())
}

/// Splits a time into its components. No operation overflows, since the seconds are capped first.
fn civil_time(time: SystemTime) -> CivilTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(LAST_SECOND);
    let of_day = seconds % SECONDS_PER_DAY;
    // Days count from 0000-03-01, so that a leap day is the last day of its year. A cycle of 400
    // years has 146,097 days.
    let days = seconds / SECONDS_PER_DAY + 719_468;
    let cycle = days / 146_097;
    let of_cycle = days % 146_097;
    let year_of_cycle =
        (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    CivilTime {
        year: cycle * 400 + year_of_cycle + u64::from(month <= 2),
        month,
        day: of_year - (153 * month_from_march + 2) / 5 + 1,
        hour: of_day / 3_600,
        minute: of_day % 3_600 / 60,
        second: of_day % 60,
        millisecond: since.subsec_millis(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn basic_utc(time: SystemTime) -> String {
        let mut text = String::new();
        push_basic_utc(&mut text, time);
        text
    }

    fn at(seconds: u64, millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + millis)
    }

    #[test]
    fn known_instants_read_as_in_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_709_164_800, "2024-02-29T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (1_767_323_045, "2026-01-02T03:04:05.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
            (LAST_SECOND, "9999-12-31T23:59:59.007Z"),
        ] {
            assert_eq!(rfc3339_millis(at(seconds, 7)), text);
        }
    }

    #[test]
    fn the_basic_form_has_no_separators() {
        assert_eq!(basic_utc(at(1_767_323_045, 999)), "20260102T030405Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = String::new();
        for day in 0..150_000 {
            let text = rfc3339_millis(at(day * SECONDS_PER_DAY, 0));
            assert!(text > last, "{text} after {last}");
            last = text;
        }
        assert!(last.starts_with("2380-"), "{last}");
    }

    #[test]
    fn times_out_of_range_are_clamped() {
        assert_eq!(
            rfc3339_millis(UNIX_EPOCH - Duration::from_secs(1)),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(basic_utc(at(LAST_SECOND + 5, 0)), "99991231T235959Z");
    }
}
