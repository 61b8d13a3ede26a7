//! The configuration as written: the file's tree with the place of each value, and the environment's overrides in it.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostics::{ConfigError, ConfigLocation},
    keys::{self, ValueType},
};

/// What overrides begin with.
const PREFIX: &str = "LIVENESS_GATEWAY__";

/// A value, and where it was written.
#[derive(Clone, Debug)]
pub(super) struct ConfigItem {
    pub(super) value: ConfigValue,
    pub(super) place: ConfigLocation,
}

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum ConfigValue {
    Text(String),
    Integer(i64),
    Fraction(f64),
    Bool(bool),
    /// A number or date that no key takes; its name.
    Other(&'static str),
    List(Vec<ConfigItem>),
    Table(ConfigTable),
}

/// Members by their names; the place is that of the name.
pub(super) type ConfigTable = BTreeMap<String, (ConfigLocation, ConfigItem)>;

/// Reads the file; what is not TOML is a mistake, and the rest is read all the same.
pub(super) fn parse(text: &str, errors: &mut Vec<ConfigError>) -> ConfigTable {
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    for error in syntax_errors {
        errors.push(ConfigError {
            place: broken(text, error.span().unwrap_or(0..0)),
            message: format!(
                "this is not TOML: {}",
                error.message().lines().next().unwrap_or_default()
            ),
            help: "write `key = value`, with texts in quotes, below a `[section]`".into(),
        });
    }
    table(root.get_ref())
}

/// Where the text is broken: on a line that seems to hold a secret (as text, or without quotes), all behind the name.
fn broken(text: &str, span: Range<usize>) -> ConfigLocation {
    let at = span.start.min(text.len());
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = at + after.find('\n').unwrap_or(after.len());
    let line = text.get(start..end).unwrap_or_default();
    match line.split_once(['=', ':']) {
        Some((name, _)) if keys::seems_secret(name) => {
            ConfigLocation::Hidden(start + name.len() + 1..end)
        }
        _ => ConfigLocation::File(span),
    }
}

fn table(table: &DeTable<'_>) -> ConfigTable {
    table
        .iter()
        .map(|(name, value)| (name.get_ref().to_string(), (file(name.span()), item(value))))
        .collect()
}

fn item(value: &Spanned<DeValue<'_>>) -> ConfigItem {
    let written = match value.get_ref() {
        DeValue::String(text) => ConfigValue::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(ConfigValue::Other("a number"), ConfigValue::Integer),
        DeValue::Boolean(on) => ConfigValue::Bool(*on),
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .map_or(ConfigValue::Other("a number"), ConfigValue::Fraction),
        DeValue::Datetime(_) => ConfigValue::Other("a date"),
        DeValue::Array(list) => ConfigValue::List(list.iter().map(item).collect()),
        DeValue::Table(members) => ConfigValue::Table(table(members)),
    };
    ConfigItem {
        value: written,
        place: file(value.span()),
    }
}

fn file(span: Range<usize>) -> ConfigLocation {
    ConfigLocation::File(span)
}

/// Puts `LIVENESS_GATEWAY__SECTION__KEY` variables in their places.
pub(super) fn override_from(
    variables: &BTreeMap<String, String>,
    root: &mut ConfigTable,
    errors: &mut Vec<ConfigError>,
) {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let steps: Vec<_> = path.split("__").map(str::to_ascii_lowercase).collect();
        let pattern = pattern(&steps);
        let inner = pattern
            .strip_suffix(".env")
            .or_else(|| pattern.strip_suffix(".file"));
        let kind = match (keys::find(&pattern), inner.and_then(keys::find)) {
            (Some(key), _) if !matches!(key.kind, ValueType::Secret | ValueType::Members) => {
                Some(key.kind)
            }
            (_, Some(key)) if key.kind == ValueType::Secret => Some(ValueType::Text),
            _ => None,
        };
        let place = ConfigLocation::Variable(name.clone());
        let item = kind
            .and_then(|kind| value(kind, text))
            .map(|value| ConfigItem {
                value,
                place: place.clone(),
            });
        let readable = item.is_some();
        let placed = match item {
            Some(item) => insert(root, &steps, item),
            None => false,
        };
        if !placed {
            let (message, help) = match kind {
                Some(_) if readable => (
                    format!("{name} names no table of the file"),
                    "count from 0, and only tables that are there".to_owned(),
                ),
                None => (
                    format!("{name} overrides no key"),
                    "see `liveness-gateway schema` for the keys, or unset it".to_owned(),
                ),
                Some(ValueType::Bool) => (
                    format!("{name} must be true or false"),
                    "set it to true or false".to_owned(),
                ),
                Some(ValueType::Fraction) => (
                    format!("{name} must be a number"),
                    "set it to a number like 0.5".to_owned(),
                ),
                Some(_) => (
                    format!("{name} must be a whole number"),
                    "set it to a number like 256".to_owned(),
                ),
            };
            errors.push(ConfigError {
                place,
                message,
                help,
            });
        }
    }
}

/// `["routes", "0", "rate"]` → `routes[].rate`
fn pattern(steps: &[String]) -> String {
    let mut pattern = String::new();
    for step in steps {
        if step.parse::<usize>().is_ok() {
            pattern.push_str("[]");
        } else {
            if !pattern.is_empty() {
                pattern.push('.');
            }
            pattern.push_str(step);
        }
    }
    pattern
}

fn value(kind: ValueType, text: &str) -> Option<ConfigValue> {
    Some(match kind {
        ValueType::Bool => ConfigValue::Bool(text.parse().ok()?),
        ValueType::Count => ConfigValue::Integer(text.parse().ok()?),
        ValueType::Fraction => ConfigValue::Fraction(text.parse().ok()?),
        ValueType::Texts => ConfigValue::List(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| ConfigItem {
                    value: ConfigValue::Text(part.into()),
                    place: ConfigLocation::File(0..0),
                })
                .collect(),
        ),
        _ => ConfigValue::Text(text.into()),
    })
}

fn insert(table: &mut ConfigTable, steps: &[String], mut item: ConfigItem) -> bool {
    let place = item.place.clone();
    if let ConfigValue::List(parts) = &mut item.value {
        parts.iter_mut().for_each(|part| part.place = place.clone());
    }
    let Some((name, rest)) = steps.split_first() else {
        return false;
    };
    let Some((next, below)) = rest.split_first() else {
        table.insert(name.clone(), (place, item));
        return true;
    };
    let empty = || {
        (
            place.clone(),
            ConfigItem {
                value: ConfigValue::Table(ConfigTable::new()),
                place: place.clone(),
            },
        )
    };
    match (next.parse::<usize>(), table.get_mut(name)) {
        (
            Ok(index),
            Some((
                _,
                ConfigItem {
                    value: ConfigValue::List(list),
                    ..
                },
            )),
        ) => match list.get_mut(index) {
            Some(ConfigItem {
                value: ConfigValue::Table(inner),
                ..
            }) => insert(inner, below, item),
            _ => false,
        },
        (Ok(_), _) => false,
        (Err(_), _) => {
            // One of `env` and `file` replaces the other.
            let secret = matches!(next.as_str(), "env" | "file") && below.is_empty();
            let (_, section) = table.entry(name.clone()).or_insert_with(empty);
            match &mut section.value {
                ConfigValue::Table(inner) => {
                    if secret {
                        inner.clear();
                    }
                    insert(inner, rest, item)
                }
                _ => false,
            }
        }
    }
}
