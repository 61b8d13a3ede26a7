//! Sizes, durations and rates: a whole number and a unit, without a blank and without rounding.
//!
//! The limits of each value are in the table of keys.

use std::{num::NonZeroU32, time::Duration};

use super::{
    keys::{self, Limits, ValueType},
    reader::{ConfigReader, Located},
    section::ConfigSection,
    tree::ConfigValue,
};
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

impl ConfigReader<'_> {
    /// A size in bytes; `None` also for an empty one, where that is allowed.
    pub(super) fn size(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<u64>> {
        self.measure(section, name, |text, limits| {
            size(text).filter(|bytes| within(limits, *bytes, size))
        })
    }

    /// A duration; `None` also for an empty one, where that is allowed.
    pub(super) fn duration(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Duration> {
        let time = self.measure(section, name, |text, limits| {
            duration(text).filter(|time| within(limits, *time, duration))
        });
        time.map(|(time, _)| time)
    }

    /// A rate; `None` also for an empty one.
    pub(super) fn rate(&mut self, section: &ConfigSection<'_>, name: &'static str) -> Option<Rate> {
        self.measure(section, name, |text, _| rate(text))
            .map(|(rate, _)| rate)
    }

    fn measure<T>(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        parse: impl Fn(&str, Limits) -> Option<T>,
    ) -> Option<Located<T>> {
        let value_type = keys::find(&keys::join(section.path, name))?.value_type;
        let (form, limits) = form_of(value_type);
        let wanted = match limits {
            Limits { min: "", .. } => form.to_owned(),
            Limits { min, max: "" } => format!("{form}, at least \"{min}\""),
            Limits { min, max } => format!("{form}, from \"{min}\" to \"{max}\""),
        };
        if let Some(item) = section.item(name)
            && !matches!(item.value, ConfigValue::Text(_))
        {
            self.wrong_type(&item, name, &wanted);
            return None;
        }
        let Some((text, location)) = self.text(section, name) else {
            let may_be_empty = matches!(
                value_type,
                ValueType::Rate | ValueType::OptionalSize | ValueType::OptionalDuration(_)
            );
            if !may_be_empty {
                self.reject_empty(section, name, &wanted);
            }
            return None;
        };
        let value = parse(&text, limits);
        if value.is_none() {
            self.error(
                &location,
                format!("`{name}` can't be `{text}`"),
                format!("write {wanted}"),
            );
        }
        value.map(|value| (value, location))
    }
}

/// How a value of this type is written, and its limits.
fn form_of(value_type: ValueType) -> (&'static str, Limits) {
    const NONE: Limits = Limits { min: "", max: "" };
    match value_type {
        ValueType::Duration(limits) | ValueType::OptionalDuration(limits) => {
            ("a duration like \"30s\" (ms, s, min, h, day)", limits)
        }
        ValueType::Size(limits) => ("a size like \"28MiB\" (B, KiB, MiB, GiB)", limits),
        ValueType::OptionalSize => ("a size like \"28MiB\" (B, KiB, MiB, GiB)", NONE),
        _ => ("a rate like \"10/min\" (s, min, h, day)", NONE),
    }
}

fn within<T: PartialOrd>(limits: Limits, value: T, parse: fn(&str) -> Option<T>) -> bool {
    parse(limits.min).is_none_or(|min| value >= min)
        && parse(limits.max).is_none_or(|max| value <= max)
}

/// `"28MiB"` in bytes, above zero.
pub(super) fn size(text: &str) -> Option<u64> {
    with_unit(text, &SIZES).filter(|size| *size > 0)
}

/// `"30s"`
pub(crate) fn duration(text: &str) -> Option<Duration> {
    with_unit(text, &DURATIONS).map(Duration::from_millis)
}

/// A size as [`size`] reads it.
pub(super) fn written_size(bytes: u64) -> String {
    written(bytes, &SIZES)
}

/// A duration as [`duration`] reads it, without what is less than a millisecond.
pub(super) fn written_duration(time: Duration) -> String {
    written(
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        &DURATIONS,
    )
}

/// In the largest unit that leaves a whole number.
fn written(value: u64, units: &[(&str, u64)]) -> String {
    let whole = units
        .iter()
        .filter(|(_, factor)| value.is_multiple_of(*factor));
    match whole.max_by_key(|(_, factor)| *factor) {
        Some((name, factor)) => format!("{}{name}", value / factor),
        None => value.to_string(),
    }
}

/// `"10/min"`
fn rate(text: &str) -> Option<Rate> {
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
    fn sizes_and_durations_are_written_in_their_largest_unit() {
        let sizes = [1, 1023, 1 << 10, 40 << 20, 3 << 30].map(written_size);
        assert_eq!(sizes, ["1B", "1023B", "1KiB", "40MiB", "3GiB"]);
        let times = [1, 1500, 65_000, 120_000, 3_600_000].map(Duration::from_millis);
        let times = times.map(written_duration);
        assert_eq!(times, ["1ms", "1500ms", "65s", "2min", "1h"]);
    }

    #[test]
    fn sizes_durations_and_rates_are_read() {
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
    fn values_in_another_form_are_rejected() {
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
        fn no_text_makes_it_panic(text in "\\PC{0,20}") {
            let _ = (size(&text), duration(&text), rate(&text));
        }
    }
}
