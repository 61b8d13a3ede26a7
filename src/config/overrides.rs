//! Overrides from the environment: `LIVENESS_GATEWAY__SECTION__KEY` replaces what the file says.
//!
//! Never repeats the value of a variable that overrides no key.

use std::collections::BTreeMap;

use super::{
    diagnostics::{ConfigError, ConfigLocation},
    keys::{self, ValueType},
    tree::{ConfigItem, ConfigTable, ConfigValue},
};

/// How the names of overrides begin.
const PREFIX: &str = "LIVENESS_GATEWAY__";

/// Puts the values of all overrides into the tree.
pub(super) fn apply(
    variables: &BTreeMap<String, String>,
    root: &mut ConfigTable,
    errors: &mut Vec<ConfigError>,
) {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let steps: Vec<_> = path.split("__").map(str::to_ascii_lowercase).collect();
        if let Err(error) = override_one(name, &steps, text, root) {
            errors.push(error);
        }
    }
}

fn override_one(
    name: &str,
    steps: &[String],
    text: &str,
    root: &mut ConfigTable,
) -> Result<(), ConfigError> {
    let location = ConfigLocation::Variable(name.into());
    let wrong = |message: &str, help: &str| ConfigError {
        location: location.clone(),
        message: format!("{name} {message}"),
        help: help.into(),
    };
    let Some(value_type) = type_at(steps) else {
        return Err(wrong(
            "overrides no key",
            "see `liveness-gateway schema` for the keys, or unset it",
        ));
    };
    let Some(value) = value(value_type, text, &location) else {
        return Err(match value_type {
            ValueType::Boolean => wrong("must be true or false", "set it to true or false"),
            ValueType::Fraction => wrong("must be a number", "set it to a number like 0.5"),
            _ => wrong("must be a whole number", "set it to a number like 256"),
        });
    };
    let item = ConfigItem {
        value,
        location: location.clone(),
    };
    match insert(root, steps, item) {
        true => Ok(()),
        false => Err(wrong(
            "names no table of the file",
            "count from 0, and name only tables that are in the file",
        )),
    }
}

/// The type of the key that these steps lead to. Of a secret, only the source can be overridden.
fn type_at(steps: &[String]) -> Option<ValueType> {
    let path = path_of(steps);
    if let Some(key) = keys::find(&path) {
        let whole = !matches!(key.value_type, ValueType::Secret | ValueType::Members);
        return whole.then_some(key.value_type);
    }
    let secret = path
        .strip_suffix(".env")
        .or_else(|| path.strip_suffix(".file"));
    let key = keys::find(secret?)?;
    (key.value_type == ValueType::Secret).then_some(ValueType::Text)
}

/// `["routes", "0", "rate"]` → `routes[].rate`
fn path_of(steps: &[String]) -> String {
    let mut path = String::new();
    for step in steps {
        if step.parse::<usize>().is_ok() {
            path.push_str("[]");
        } else {
            path = keys::join(&path, step);
        }
    }
    path
}

fn value(value_type: ValueType, text: &str, location: &ConfigLocation) -> Option<ConfigValue> {
    Some(match value_type {
        ValueType::Boolean => ConfigValue::Boolean(text.parse().ok()?),
        ValueType::Integer => ConfigValue::Integer(text.parse().ok()?),
        ValueType::Fraction => ConfigValue::Fraction(text.parse().ok()?),
        ValueType::TextList => {
            let parts = text.split(',').map(str::trim);
            let parts = parts.filter(|part| !part.is_empty());
            let items = parts.map(|part| ConfigItem::text(part, location));
            ConfigValue::List(items.collect())
        }
        _ => ConfigValue::Text(text.into()),
    })
}

/// Puts an item at the end of these steps. `false`: they name a table that is not in the file.
fn insert(table: &mut ConfigTable, steps: &[String], item: ConfigItem) -> bool {
    let Some((name, rest)) = steps.split_first() else {
        return false;
    };
    let Some((next, below)) = rest.split_first() else {
        table.insert(name.clone(), (item.location.clone(), item));
        return true;
    };
    if let Ok(index) = next.parse::<usize>() {
        let Some((_, list)) = table.get_mut(name) else {
            return false;
        };
        let ConfigValue::List(list) = &mut list.value else {
            return false;
        };
        return match list.get_mut(index).map(|element| &mut element.value) {
            Some(ConfigValue::Table(inner)) => insert(inner, below, item),
            _ => false,
        };
    }
    let empty = || {
        let value = ConfigValue::Table(ConfigTable::new());
        let location = item.location.clone();
        (location.clone(), ConfigItem { value, location })
    };
    let (_, section) = table.entry(name.clone()).or_insert_with(empty);
    let ConfigValue::Table(inner) = &mut section.value else {
        return false;
    };
    // `env` replaces `file`, and `file` replaces `env`.
    if matches!(next.as_str(), "env" | "file") && below.is_empty() {
        inner.clear();
    }
    insert(inner, rest, item)
}
