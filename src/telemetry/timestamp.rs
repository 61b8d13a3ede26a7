//! Points in time as text, in UTC.
//!
//! Relies on the crate `time` for the calendar. The digits are written by hand, since every request
//! writes two times: formatting by descriptions of `time` takes four times the instructions. Never
//! fails: a time before 1970 is written as 1970-01-01T00:00:00, a time after the year 9999 as the
//! last second of 9999.

use std::time::{SystemTime, UNIX_EPOCH};

use time::UtcDateTime;

/// The last second with a four-digit year: 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// Formats in RFC 3339 with milliseconds: `2026-01-02T03:04:05.678Z`.
pub fn rfc3339_millis(time: SystemTime) -> String {
    let mut text = String::with_capacity(24);
    push_rfc3339_millis(&mut text, time);
    text
}

/// Appends the time in RFC 3339 with milliseconds.
pub fn push_rfc3339_millis(text: &mut String, time: SystemTime) {
    let (utc, millisecond) = utc(time);
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second) = utc.as_hms();
    push_year(text, year);
    for (separator, value) in [
        ('-', month.into()),
        ('-', day),
        ('T', hour),
        (':', minute),
        (':', second),
    ] {
        text.push(separator);
        push_two_digits(text, value.into());
    }
    text.push('.');
    push_two_digits(text, millisecond / 10);
    text.push(digit(millisecond));
    text.push('Z');
}

/// Appends the time in the basic format of ISO 8601, in seconds: `20260102T030405Z`.
pub fn push_basic_utc(text: &mut String, time: SystemTime) {
    let (utc, _) = utc(time);
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second) = utc.as_hms();
    push_year(text, year);
    push_two_digits(text, u8::from(month).into());
    push_two_digits(text, day.into());
    text.push('T');
    for value in [hour, minute, second] {
        push_two_digits(text, value.into());
    }
    text.push('Z');
}

/// The time in UTC, in whole seconds, and its milliseconds.
fn utc(time: SystemTime) -> (UtcDateTime, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs().min(LAST_SECOND)).unwrap_or_default();
    let utc = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::UNIX_EPOCH);
    (utc, since.subsec_millis())
}

/// Appends the last four digits.
fn push_year(text: &mut String, year: i32) {
    let year = year.unsigned_abs();
    push_two_digits(text, year / 100);
    push_two_digits(text, year);
}

/// Appends the last two digits.
fn push_two_digits(text: &mut String, value: u32) {
    text.push(digit(value / 10));
    text.push(digit(value));
}

/// The last digit.
fn digit(value: u32) -> char {
    char::from(b'0' + u8::try_from(value % 10).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECONDS_PER_DAY: u64 = 86_400;

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
