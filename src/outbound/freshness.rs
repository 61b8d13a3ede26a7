//! How long an answer may be kept (RFC 9111 section 4.2): `Cache-Control`, `Age`, `Expires`, `Date`.
//!
//! What can't be read counts as already old, as the standard wants it. Never fails.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long an answer may be kept from now on; zero when its sender would rather not have it kept at all.
pub type Freshness = Duration;

/// By the fields that `field` finds; `None` when they say nothing.
pub fn of(field: impl Fn(&str) -> Option<String>, now: SystemTime) -> Option<Freshness> {
    if let Some(control) = field("cache-control") {
        let control = control.to_ascii_lowercase();
        let directives = || control.split(',').map(str::trim);
        if directives().any(|it| matches!(it.split('=').next(), Some("no-store" | "no-cache"))) {
            return Some(Duration::ZERO);
        }
        if let Some(age) = directives().find_map(|it| it.strip_prefix("max-age=")) {
            let most = age.trim_matches('"').parse().unwrap_or_default();
            let spent = field("age").and_then(|age| age.trim().parse().ok());
            return Some(
                Duration::from_secs(most)
                    .saturating_sub(Duration::from_secs(spent.unwrap_or_default())),
            );
        }
    }
    let expires = field("expires")?;
    let sent = field("date").and_then(|date| http_date(&date));
    let left = http_date(&expires).and_then(|end| end.duration_since(sent.unwrap_or(now)).ok());
    Some(left.unwrap_or_default())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`; the obsolete forms are not read.
fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, date) = text.trim().split_once(", ")?;
    let mut parts = date.split(' ');
    let day: u64 = parts
        .next()?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = parts
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..=9999).contains(year))?;
    let mut clock = parts
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if parts.next() != Some("GMT") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years that begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let seconds = (days.checked_sub(719_468)? * 24 + hour) * 3600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(fields: &[(&str, &str)]) -> Option<u64> {
        let field = |name: &str| {
            let found = fields.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        of(field, UNIX_EPOCH + Duration::from_secs(784_111_777)).map(|it| it.as_secs())
    }

    #[test]
    fn dates_are_read() {
        let seconds =
            |text| http_date(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            seconds("Tue, 29 Feb 2028 23:59:59 GMT"),
            Some(1_835_481_599)
        );
        for text in [
            "0",
            "-1",
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:49 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_strongest_word_counts() {
        let control = |text| fresh(&[("cache-control", text), ("age", "10"), ("expires", "0")]);
        assert_eq!(control("public, max-age=3600"), Some(3590));
        assert_eq!(control("Max-Age=\"3600\", must-revalidate"), Some(3590));
        assert_eq!(control("max-age=3600, no-store"), Some(0));
        assert_eq!(control("no-cache"), Some(0));
        assert_eq!(control("max-age=soon"), Some(0));
        assert_eq!(control("max-age=5"), Some(0));
        assert_eq!(control("public"), Some(0));
        assert_eq!(fresh(&[]), None);
        assert_eq!(fresh(&[("cache-control", "public")]), None);
        let expires = ("expires", "Sun, 06 Nov 1994 09:49:37 GMT");
        assert_eq!(fresh(&[expires]), Some(3600));
        assert_eq!(
            fresh(&[expires, ("date", "Sun, 06 Nov 1994 09:48:37 GMT")]),
            Some(60)
        );
        assert_eq!(
            fresh(&[("expires", "Sun, 06 Nov 1994 07:49:37 GMT")]),
            Some(0)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}") {
            let _ = (http_date(&text), fresh(&[("cache-control", &text)]));
        }
    }
}
