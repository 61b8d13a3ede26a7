//! Reads sizes, durations and rates: the forms are those of [`units`], the limits are here.

use std::time::Duration;

use super::{
    reader::{ConfigReader, ConfigSection, Located},
    tree::ConfigValue,
    units,
};
use crate::route::Rate;

impl ConfigReader<'_> {
    pub(super) fn size(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<u64>> {
        self.unit(
            section,
            name,
            units::size,
            "a size like \"28MiB\" (B, KiB, MiB, GiB), above zero",
        )
    }

    /// At most an hour: a longer wait is a mistake, or an attack that is let in.
    pub(super) fn duration(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Duration> {
        let (time, place) = self.unit(
            section,
            name,
            // Clocks may be said not to differ at all.
            |text| units::duration(text).filter(|time| name == "leeway" || !time.is_zero()),
            "a duration like \"30s\" (ms, s, min, h), above zero",
        )?;
        if time > Duration::from_secs(3600) {
            self.error(
                &place,
                format!("`{name}` is longer than an hour"),
                "write at most \"1h\"",
            );
        }
        Some(time)
    }

    pub(super) fn rate(&mut self, section: &ConfigSection<'_>, name: &'static str) -> Option<Rate> {
        self.unit(
            section,
            name,
            units::rate,
            "a rate like \"10/min\" (s, min, h, day)",
        )
        .map(|(rate, _)| rate)
    }

    fn unit<T>(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Option<Located<T>> {
        if let Some(item) = self.item(section, name)
            && !matches!(item.value, ConfigValue::Text(_))
        {
            self.wrong_type(&item, name, wanted);
            return None;
        }
        let Some((text, place)) = self.text(section, name) else {
            // These alone can be switched off.
            if !matches!(name, "rate" | "quota" | "response.max_string") {
                self.refuse_empty(section, name, wanted);
            }
            return None;
        };
        match parse(&text) {
            Some(value) => Some((value, place)),
            None => {
                self.error(
                    &place,
                    format!("`{name}` can't be `{text}`"),
                    format!("write {wanted}"),
                );
                None
            }
        }
    }
}
