//! Reads values out of the tree: a value of the right type, or its default, or an error with a
//! location and a suggested fix. What was read is recorded as the effective configuration.

use std::{collections::BTreeMap, path::Path};

use super::{
    diagnostics::{ConfigError, ConfigLocation},
    keys::{self, ValueType},
    reloadable::ReloadableSettings,
    section::ConfigSection,
    source::PipeContents,
    tree::{ConfigItem, ConfigValue},
    values::ConfigValues,
};
use crate::outbound::proxy::Proxy;

/// A value, and where it was written. A default has the location of its section.
pub(super) type Located<T> = (T, ConfigLocation);

/// Reads one configuration.
pub(super) struct ConfigReader<'a> {
    /// The folder that relative paths start from.
    pub(super) base: &'a Path,
    /// The environment.
    pub(super) variables: &'a BTreeMap<String, String>,
    /// What was read from pipes.
    pub(super) pipes: &'a PipeContents,
    /// The configuration in use, if there is one.
    pub(super) running: Option<&'a ConfigValues>,
    /// What was read, to be compared with another configuration.
    pub(super) values: ConfigValues,
    pub(super) errors: Vec<ConfigError>,
    /// What is valid, but probably not meant so.
    pub(super) warnings: Vec<String>,
    /// The effective configuration, as TOML.
    pub(super) effective: String,
    /// The proxy of `[outbound]`, once that section has been read.
    pub(super) proxy: Option<Proxy>,
    pub(super) reloadable: ReloadableSettings,
}

impl ConfigReader<'_> {
    pub(super) fn error(
        &mut self,
        location: &ConfigLocation,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors.push(ConfigError {
            location: location.clone(),
            message: message.into(),
            help: help.into(),
        });
    }

    /// Records the header of a table in the effective configuration.
    pub(super) fn header(&mut self, header: &str) {
        if !self.effective.is_empty() {
            self.effective.push('\n');
        }
        self.effective.push_str(header);
        self.effective.push('\n');
        self.values.begin(header);
    }

    /// Records a value in the effective configuration.
    pub(super) fn note(&mut self, name: &str, shown: &str) {
        self.note_as(name, shown, shown);
    }

    /// Records a value of which not all may be shown.
    pub(super) fn note_as(&mut self, name: &str, shown: &str, value: &str) {
        self.effective.push_str(&format!("{name} = {shown}\n"));
        self.values.add(name, value);
    }

    /// Records what follows from other keys for one that is empty. Its name is unique.
    pub(super) fn note_derived(&mut self, name: &str, shown: &str) {
        let empty = format!("\n{name} = \"\"\n");
        let derived = format!("\n{name} = \"{shown}\"\n");
        self.effective = self.effective.replacen(&empty, &derived, 1);
    }

    /// An optional text. An empty one counts as absent.
    pub(super) fn text(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<String>> {
        let item = section.item(name)?;
        let ConfigValue::Text(text) = &item.value else {
            self.wrong_type(&item, name, "a text in quotes");
            return None;
        };
        if !self.is_one_line(text, name, &item.location) {
            return None;
        }
        self.note(name, &quoted(text));
        (!text.is_empty()).then(|| (text.clone(), item.location))
    }

    /// A text that must be there.
    pub(super) fn required(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        help: &str,
    ) -> Option<Located<String>> {
        let before = self.errors.len();
        let text = self.text(section, name);
        if text.is_none() && self.errors.len() == before {
            self.error(&section.location, format!("`{name}` is missing"), help);
        }
        text
    }

    /// One of the words that the table of keys lists.
    pub(super) fn word(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<String> {
        let words = match keys::find(&keys::join(section.path, name))?.value_type {
            ValueType::Word(words) => words,
            _ => &[],
        };
        let wanted = format!("one of: {}", words.join(", "));
        let Some((word, location)) = self.text(section, name) else {
            self.reject_empty(section, name, &wanted);
            return None;
        };
        if words.contains(&word.as_str()) {
            return Some(word);
        }
        self.error(
            &location,
            format!("`{name}` can't be `{word}`"),
            format!("write {wanted}"),
        );
        None
    }

    /// A list of texts; one text counts as a list of it. `None`: absent.
    pub(super) fn texts(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Vec<Located<String>>> {
        let item = section.item(name)?;
        let items = match item.value {
            ConfigValue::List(items) => items,
            _ => vec![item],
        };
        let mut texts = Vec::new();
        for item in items {
            match item.value {
                ConfigValue::Text(text) => {
                    if self.is_one_line(&text, name, &item.location) {
                        texts.push((text, item.location));
                    }
                }
                _ => self.wrong_type(&item, name, "a text in quotes, or a list of them"),
            }
        }
        let shown: Vec<_> = texts.iter().map(|(text, _)| quoted(text)).collect();
        self.note(name, &format!("[{}]", shown.join(", ")));
        Some(texts)
    }

    /// A whole number above zero.
    pub(super) fn integer(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<u32>> {
        let item = section.item(name)?;
        let number = match item.value {
            ConfigValue::Integer(number) => u32::try_from(number).ok().filter(|it| *it > 0),
            _ => None,
        };
        match number {
            Some(number) => self.note(name, &number.to_string()),
            None => self.wrong_type(&item, name, "a whole number from 1 to 4294967295"),
        }
        Some((number?, item.location))
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<f64>> {
        const WANTED: &str = "a number from 0.0 to 1.0";
        let item = section.item(name)?;
        let number = match item.value {
            ConfigValue::Fraction(number) => number,
            ConfigValue::Integer(number) => number as f64,
            _ => {
                self.wrong_type(&item, name, WANTED);
                return None;
            }
        };
        // NaN is in no range.
        if !(0.0..=1.0).contains(&number) {
            self.error(
                &item.location,
                format!("`{name}` is out of range"),
                format!("write {WANTED}"),
            );
            return None;
        }
        self.note(name, &format!("{number:?}"));
        Some((number, item.location))
    }

    /// A boolean with a default.
    pub(super) fn boolean(&mut self, section: &ConfigSection<'_>, name: &'static str) -> bool {
        let Some(item) = section.item(name) else {
            return false;
        };
        let ConfigValue::Boolean(on) = item.value else {
            self.wrong_type(&item, name, "true or false");
            return false;
        };
        self.note(name, &on.to_string());
        on
    }

    /// Reports an empty text, which no word, size or duration can be.
    pub(super) fn reject_empty(&mut self, section: &ConfigSection<'_>, name: &str, wanted: &str) {
        let Some(item) = section.item(name) else {
            return;
        };
        if matches!(&item.value, ConfigValue::Text(text) if text.is_empty()) {
            self.error(
                &item.location,
                format!("`{name}` is empty"),
                format!("write {wanted}, or leave it out"),
            );
        }
    }

    pub(super) fn wrong_type(&mut self, item: &ConfigItem, name: &str, wanted: &str) {
        let is = match &item.value {
            ConfigValue::Text(_) => "a text",
            ConfigValue::Integer(_) => "a number",
            ConfigValue::Fraction(_) => "a number with a fraction",
            ConfigValue::Boolean(_) => "true or false",
            ConfigValue::Other(name) => name,
            ConfigValue::List(_) => "a list",
            ConfigValue::Table(_) => "a table",
        };
        self.error(
            &item.location,
            format!("`{name}` can't be {is}"),
            format!("write {wanted}"),
        );
    }

    /// Reports a text of several lines. Errors may repeat a text, and a quote that is missing can
    /// turn the rest of the file, secrets included, into one.
    fn is_one_line(&mut self, text: &str, name: &str, location: &ConfigLocation) -> bool {
        let one_line = !text.contains(char::is_control);
        if !one_line {
            self.error(
                location,
                format!("`{name}` contains a line break or another control character"),
                "write it in one line, in quotes",
            );
        }
        one_line
    }
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
