//! Reads values out of the written tree: the right type or a mistake with its place and help, the default where there is
//! none. What was read is put down as the effective configuration.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    ReloadableSettings,
    diagnostics::{ConfigError, ConfigLocation},
    keys,
    tree::{ConfigItem, ConfigTable, ConfigValue},
};

/// A value and where it came from; a default's place is its section's.
pub(super) type Located<T> = (T, ConfigLocation);

/// Reads one configuration.
pub(super) struct ConfigReader<'a> {
    pub(super) base: &'a Path,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) effective: String,
    pub(super) reloadable: ReloadableSettings,
}

/// A table that is read, by its path in the key table.
#[derive(Clone)]
pub(super) struct ConfigSection<'t> {
    pub(super) path: &'static str,
    pub(super) table: Option<&'t ConfigTable>,
    pub(super) place: ConfigLocation,
    /// For a route: its kind, which decides defaults.
    pub(super) kind: &'t str,
}

impl<'a> ConfigReader<'a> {
    pub(super) fn error(
        &mut self,
        place: &ConfigLocation,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors.push(ConfigError {
            place: place.clone(),
            message: message.into(),
            help: help.into(),
        });
    }

    pub(super) fn header(&mut self, header: &str) {
        if !self.effective.is_empty() {
            self.effective.push('\n');
        }
        self.effective.push_str(header);
        self.effective.push('\n');
    }

    pub(super) fn note(&mut self, name: &str, shown: &str) {
        self.effective.push_str(&format!("{name} = {shown}\n"));
    }

    /// The item of a key, or its default; `None` where there is neither.
    pub(super) fn item(&mut self, section: &ConfigSection<'_>, name: &str) -> Option<ConfigItem> {
        let item = name
            .split('.')
            .try_fold(None::<&ConfigItem>, |found, step| {
                let table = match found {
                    None => section.table,
                    Some(ConfigItem {
                        value: ConfigValue::Table(table),
                        ..
                    }) => Some(table),
                    Some(_) => None,
                };
                table
                    .and_then(|table| table.get(step))
                    .map(|(_, item)| Some(item))
            });
        if let Some(item) = item.flatten() {
            return Some(item.clone());
        }
        let path = format!("{}.{name}", section.path);
        let default = match keys::find(&path).map_or("", |key| key.default) {
            "" => keys::route_default(section.kind, name),
            default => default,
        };
        let parsed = (!default.is_empty()).then(|| toml::de::DeValue::parse(default).ok())??;
        Some(ConfigItem {
            value: plain(parsed.get_ref()),
            place: section.place.clone(),
        })
    }

    /// An optional text; an empty one counts as absent.
    pub(super) fn text(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<String>> {
        let item = self.item(section, name)?;
        let ConfigValue::Text(text) = item.value else {
            self.wrong_type(&item, name, "a text in quotes");
            return None;
        };
        self.note(name, &quoted(&text));
        (!text.is_empty()).then_some((text, item.place))
    }

    /// A text that must be there.
    pub(super) fn required(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        help: &str,
    ) -> Option<Located<String>> {
        let there = self.item(section, name).is_some();
        let text = self.text(section, name);
        if !there || (text.is_none() && self.is_empty_text(section, name)) {
            self.error(&section.place, format!("`{name}` is missing"), help);
        }
        text
    }

    fn is_empty_text(&mut self, section: &ConfigSection<'_>, name: &str) -> bool {
        matches!(self.item(section, name), Some(ConfigItem { value: ConfigValue::Text(text), .. }) if text.is_empty())
    }

    pub(super) fn refuse_empty(&mut self, section: &ConfigSection<'_>, name: &str, wanted: &str) {
        if let Some(ConfigItem {
            value: ConfigValue::Text(text),
            place,
        }) = self.item(section, name)
            && text.is_empty()
        {
            self.error(
                &place,
                format!("`{name}` is empty"),
                format!("write {wanted}, or leave it out"),
            );
        }
    }

    pub(super) fn word(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        words: &[&str],
    ) -> Option<String> {
        let wanted = format!("one of: {}", words.join(", "));
        let Some((word, place)) = self.text(section, name) else {
            self.refuse_empty(section, name, &wanted);
            return None;
        };
        if words.contains(&word.as_str()) {
            return Some(word);
        }
        self.error(
            &place,
            format!("`{name}` can't be `{word}`"),
            format!("write {wanted}"),
        );
        None
    }

    /// A list; one text counts as a list of it. `None`: absent.
    pub(super) fn texts(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Vec<Located<String>>> {
        let item = self.item(section, name)?;
        let items = match item.value {
            ConfigValue::List(items) => items,
            _ => vec![item],
        };
        let mut texts = Vec::new();
        for item in items {
            match item.value {
                ConfigValue::Text(text) => texts.push((text, item.place)),
                _ => self.wrong_type(&item, name, "a text in quotes, or a list of them"),
            }
        }
        let shown: Vec<_> = texts.iter().map(|(text, _)| quoted(text)).collect();
        self.note(name, &format!("[{}]", shown.join(", ")));
        Some(texts)
    }

    pub(super) fn count(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<u32>> {
        let item = self.item(section, name)?;
        let count = match item.value {
            ConfigValue::Integer(number) => u32::try_from(number).ok().filter(|number| *number > 0),
            _ => None,
        };
        match count {
            Some(count) => self.note(name, &count.to_string()),
            None => self.wrong_type(&item, name, "a whole number from 1 to 4294967295"),
        }
        Some((count?, item.place))
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<f64>> {
        const WANTED: &str = "a number from 0.0 to 1.0";
        let item = self.item(section, name)?;
        let number = match item.value {
            ConfigValue::Fraction(number) => number,
            ConfigValue::Integer(number) => number as f64,
            _ => {
                self.wrong_type(&item, name, WANTED);
                return None;
            }
        };
        // A NaN is in no range.
        if !(0.0..=1.0).contains(&number) {
            self.error(
                &item.place,
                format!("`{name}` is out of range"),
                format!("write {WANTED}"),
            );
            return None;
        }
        self.note(name, &format!("{number:?}"));
        Some((number, item.place))
    }

    pub(super) fn bool(&mut self, section: &ConfigSection<'_>, name: &'static str) -> bool {
        match self.item(section, name) {
            Some(ConfigItem {
                value: ConfigValue::Bool(on),
                ..
            }) => {
                self.note(name, &on.to_string());
                on
            }
            Some(item) => {
                self.wrong_type(&item, name, "true or false");
                false
            }
            None => false,
        }
    }

    /// A path, made absolute from the file's own folder.
    pub(super) fn path(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<PathBuf>> {
        self.text(section, name)
            .map(|(text, place)| (self.base.join(text), place))
    }

    pub(super) fn wrong_type(&mut self, item: &ConfigItem, name: &str, wanted: &str) {
        let is = match &item.value {
            ConfigValue::Text(_) => "a text",
            ConfigValue::Integer(_) => "a number",
            ConfigValue::Fraction(_) => "a number with a fraction",
            ConfigValue::Bool(_) => "true or false",
            ConfigValue::Other(name) => name,
            ConfigValue::List(_) => "a list",
            ConfigValue::Table(_) => "a table",
        };
        self.error(
            &item.place,
            format!("`{name}` can't be {is}"),
            format!("write {wanted}"),
        );
    }
}

fn plain(value: &toml::de::DeValue<'_>) -> ConfigValue {
    let text =
        |value: &toml::de::DeValue<'_>| value.as_str().map(str::to_owned).unwrap_or_default();
    match value {
        toml::de::DeValue::Integer(number) => {
            ConfigValue::Integer(number.as_str().parse().unwrap_or_default())
        }
        toml::de::DeValue::Float(number) => {
            ConfigValue::Fraction(number.as_str().parse().unwrap_or_default())
        }
        toml::de::DeValue::Boolean(on) => ConfigValue::Bool(*on),
        toml::de::DeValue::Array(list) => ConfigValue::List(
            list.iter()
                .map(|part| ConfigItem {
                    value: ConfigValue::Text(text(part.get_ref())),
                    place: ConfigLocation::File(0..0),
                })
                .collect(),
        ),
        other => ConfigValue::Text(text(other)),
    }
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
