//! The JSON schema of the configuration, for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::keys::{self, ConfigKey, KeyDefault, ValueType};

/// The schema (draft 2020-12).
pub fn schema() -> Value {
    let mut root = object();
    for key in keys::all() {
        let steps: Vec<_> = key.path.split('.').collect();
        insert(&mut root, &steps, key);
    }
    if let Value::Object(members) = &mut root {
        members.insert(
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        members.insert("title".into(), json!("Configuration of liveness-gateway"));
    }
    root
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

fn insert(parent: &mut Value, steps: &[&str], key: &ConfigKey) {
    let Some((step, below)) = steps.split_first() else {
        return;
    };
    let Some(Value::Object(properties)) = parent.get_mut("properties") else {
        return;
    };
    let name = step.trim_end_matches("[]");
    if below.is_empty() {
        properties.insert(name.into(), leaf(key));
        return;
    }
    let list = step.ends_with("[]");
    let section = properties.entry(name).or_insert_with(|| match list {
        true => json!({ "type": "array", "items": object() }),
        false => object(),
    });
    let inner = match list {
        true => section.get_mut("items"),
        false => Some(section),
    };
    if let Some(inner) = inner {
        insert(inner, below, key);
    }
}

fn leaf(key: &ConfigKey) -> Value {
    let mut leaf = match key.value_type {
        ValueType::Text => json!({ "type": "string" }),
        ValueType::Word(words) => json!({ "enum": words }),
        ValueType::TextList => {
            json!({ "type": ["string", "array"], "items": { "type": "string" } })
        }
        ValueType::Integer => json!({ "type": "integer", "minimum": 1 }),
        ValueType::Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        ValueType::Boolean => json!({ "type": "boolean" }),
        ValueType::Size(_) => json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }),
        ValueType::OptionalSize => {
            json!({ "type": "string", "pattern": "^([0-9]+(B|KiB|MiB|GiB))?$" })
        }
        ValueType::Duration(_) => {
            json!({ "type": "string", "pattern": "^[0-9]+(ms|s|min|h|day)$" })
        }
        ValueType::OptionalDuration(_) => {
            json!({ "type": "string", "pattern": "^([0-9]+(ms|s|min|h|day))?$" })
        }
        ValueType::Rate => json!({ "type": "string", "pattern": "^([0-9]+/(s|min|h|day))?$" }),
        ValueType::Members => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "integer", "boolean"] },
        }),
        ValueType::Secret => json!({
            "type": "object",
            "properties": { "env": { "type": "string" }, "file": { "type": "string" } },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        }),
    };
    if let Value::Object(members) = &mut leaf {
        members.insert("description".into(), json!(key.full_description()));
        if let KeyDefault::Value(text) = key.default
            && let Some(default) = json_of(text)
        {
            members.insert("default".into(), default);
        }
    }
    leaf
}

/// A TOML value as JSON.
fn json_of(text: &str) -> Option<Value> {
    let mut table: Map<String, Value> = toml::from_str(&format!("value = {text}")).ok()?;
    table.remove("value")
}
