//! The JSON schema of the configuration, for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind};

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

fn insert(parent: &mut Value, steps: &[&str], key: &Key) {
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
    let section = properties.entry(name).or_insert_with(|| {
        if list {
            json!({ "type": "array", "items": object() })
        } else {
            object()
        }
    });
    let inner = if list {
        section.get_mut("items")
    } else {
        Some(section)
    };
    if let Some(inner) = inner {
        insert(inner, below, key);
    }
}

fn leaf(key: &Key) -> Value {
    let mut leaf = match key.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Texts => json!({ "type": ["string", "array"], "items": { "type": "string" } }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Size => json!({ "type": "string", "pattern": "^([0-9]+(B|KiB|MiB|GiB))?$" }),
        Kind::Duration => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|min|h|day)$" }),
        Kind::Rate => json!({ "type": "string", "pattern": "^([0-9]+/(s|min|h|day))?$" }),
        Kind::Members => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "integer", "boolean"] },
        }),
        Kind::Secret => json!({
            "type": "object",
            "properties": { "env": { "type": "string" }, "file": { "type": "string" } },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        }),
    };
    if let Value::Object(members) = &mut leaf {
        members.insert("description".into(), json!(key.about));
        if let Some(default) = default(key) {
            members.insert("default".into(), default);
        }
    }
    leaf
}

fn default(key: &Key) -> Option<Value> {
    let text = format!("value = {}", key.default);
    let mut table: Map<String, Value> = toml::from_str(&text).ok()?;
    table.remove("value")
}
