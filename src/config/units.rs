//! Sizes, durations and rates as they are written: a whole number and a unit, nothing between, nothing rounded.

use std::{num::NonZeroU32, time::Duration};

use crate::route::Rate;

const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("day", 86_400_000),
];
const RATES: [(&str, u64); 4] = [("s", 1), ("min", 60), ("h", 3600), ("day", 86_400)];

/// `"28MiB"`: bytes, above zero.
pub(super) fn size(text: &str) -> Option<u64> {
    with_unit(text, &SIZES).filter(|size| *size > 0)
}

/// `"30s"`
pub(crate) fn duration(text: &str) -> Option<Duration> {
    with_unit(text, &DURATIONS).map(Duration::from_millis)
}

/// `"10/min"`
pub(super) fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let count = digits(count)?;
    let (_, seconds) = RATES.iter().find(|(name, _)| *name == unit)?;
    Some(Rate {
        count: NonZeroU32::new(u32::try_from(count).ok()?)?,
        per: Duration::from_secs(*seconds),
    })
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits(number)?.checked_mul(*factor)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood() {
        assert_eq!(
            (size("28MiB"), size("1B"), size("2GiB")),
            (Some(28 << 20), Some(1), Some(2 << 30))
        );
        assert_eq!(
            (duration("30s"), duration("10min")),
            (
                Some(Duration::from_secs(30)),
                Some(Duration::from_secs(600))
            )
        );
        assert_eq!(
            rate("10/min"),
            Some(Rate {
                count: NonZeroU32::new(10).unwrap(),
                per: Duration::from_secs(60)
            })
        );
    }

    #[test]
    fn what_is_not() {
        for text in [
            "",
            "5",
            "MiB",
            "0B",
            "1.5MiB",
            "-1B",
            "1 MiB",
            "1mib",
            "1MB",
            "99999999999999999999B",
            "99999999999GiB",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
        for text in ["", "5", "1m", "1 s", "s", "+1s", "\u{661}s"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in [
            "",
            "10",
            "10/",
            "/min",
            "0/s",
            "10/m",
            "10 / min",
            "+10/s",
            "99999999999/s",
        ] {
            assert_eq!(rate(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,20}") {
            let _ = (size(&text), duration(&text), rate(&text));
        }
    }
}
