//! The configuration as it is written: the tree of a file, with the location of each value.
//!
//! Never judges a value: that is up to the reader.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::diagnostics::{ConfigError, ConfigLocation};

/// A value, and where it was written.
#[derive(Clone, Debug)]
pub(super) struct ConfigItem {
    pub(super) value: ConfigValue,
    pub(super) location: ConfigLocation,
}

/// A value of any type.
#[derive(Clone, Debug)]
pub(super) enum ConfigValue {
    Text(String),
    Integer(i64),
    Fraction(f64),
    Boolean(bool),
    /// A date, or a number that is too large; named for an error.
    Other(&'static str),
    List(Vec<ConfigItem>),
    Table(ConfigTable),
}

/// The members of a table by their names, each with the location of the name.
pub(super) type ConfigTable = BTreeMap<String, (ConfigLocation, ConfigItem)>;

/// Reads a file. What is not TOML is an error, and the rest is still read.
pub(super) fn parse(text: &str, errors: &mut Vec<ConfigError>) -> ConfigTable {
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    for error in syntax_errors {
        // Further lines of the message would repeat a part of the text.
        let reason = error.message().lines().next().unwrap_or_default();
        errors.push(ConfigError {
            location: ConfigLocation::Span(error.span().unwrap_or(0..0)),
            message: format!("this is not TOML: {reason}"),
            help: "write `key = value`, with texts in quotes, below a `[section]`".into(),
        });
    }
    table(root.get_ref())
}

/// Reads a value that is not from the file, and locates it there.
pub(super) fn parse_value(text: &str, location: &ConfigLocation) -> Option<ConfigItem> {
    let value = DeValue::parse(text).ok()?;
    Some(item(&value).located_at(location))
}

/// The source of a secret: `env` or `file`, what it names, and where that is written.
pub(super) fn source_of(table: &ConfigTable) -> Option<(&str, &str, &ConfigLocation)> {
    let mut members = table.iter();
    let (kind, (_, item)) = members.next()?;
    let ConfigItem {
        value: ConfigValue::Text(text),
        location,
    } = item
    else {
        return None;
    };
    let alone = members.next().is_none() && matches!(kind.as_str(), "env" | "file");
    alone.then_some((kind, text, location))
}

impl ConfigItem {
    /// A text.
    pub(super) fn text(text: &str, location: &ConfigLocation) -> Self {
        Self {
            value: ConfigValue::Text(text.into()),
            location: location.clone(),
        }
    }

    /// The same value, all of it at another location.
    fn located_at(self, location: &ConfigLocation) -> Self {
        let value = match self.value {
            ConfigValue::List(items) => {
                let items = items.into_iter().map(|item| item.located_at(location));
                ConfigValue::List(items.collect())
            }
            other => other,
        };
        Self {
            value,
            location: location.clone(),
        }
    }
}

fn table(table: &DeTable<'_>) -> ConfigTable {
    let members = table.iter().map(|(name, value)| {
        let location = ConfigLocation::Span(name.span());
        (name.get_ref().to_string(), (location, item(value)))
    });
    members.collect()
}

fn item(value: &Spanned<DeValue<'_>>) -> ConfigItem {
    const NUMBER: ConfigValue = ConfigValue::Other("a number");
    let location = ConfigLocation::Span(value.span());
    let value = match value.get_ref() {
        DeValue::String(text) => ConfigValue::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(NUMBER, ConfigValue::Integer),
        DeValue::Boolean(on) => ConfigValue::Boolean(*on),
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .map_or(NUMBER, ConfigValue::Fraction),
        DeValue::Datetime(_) => ConfigValue::Other("a date"),
        DeValue::Array(list) => ConfigValue::List(list.iter().map(item).collect()),
        DeValue::Table(members) => ConfigValue::Table(table(members)),
    };
    ConfigItem { value, location }
}
