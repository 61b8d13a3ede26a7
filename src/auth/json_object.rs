//! A JSON object that reports duplicate members at its top level.
//!
//! With a duplicate, two readers of one token could see two different users. Names are compared
//! after their escapes are resolved, so `"s\u0075b"` is `sub`. Errors never contain a value: it may
//! be personal data or a key.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// The members of one JSON object, and whether any name occurs twice.
pub(super) struct JsonObject {
    members: Map<String, Value>,
    duplicate: bool,
}

/// The member exists and is not a string.
#[derive(Debug, thiserror::Error)]
#[error("the member is not a string")]
pub(super) struct NotAString;

impl JsonObject {
    /// Whether any name occurs more than once. If so, the result of [`JsonObject::member`] must not
    /// be used.
    pub(super) fn has_duplicate(&self) -> bool {
        self.duplicate
    }

    /// The value of the member with exactly this name.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The value of the member with exactly this name, which must be a string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, NotAString> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(NotAString),
        }
    }
}

/// The text of an identifier: a string, or a whole number, written without a fraction or an
/// exponent. `None` for any other value, and for a number that does not fit into 64 bits.
pub(super) fn identifier(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonObjectVisitor)
    }
}

struct JsonObjectVisitor;

impl<'de> Visitor<'de> for JsonObjectVisitor {
    type Value = JsonObject;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<JsonObject, A::Error> {
        let mut object = JsonObject {
            members: Map::new(),
            duplicate: false,
        };
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            object.duplicate |= object.members.insert(name, value).is_some();
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> JsonObject {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_duplicate_name_is_reported_however_it_is_escaped() {
        assert!(!read(r#"{"a":1,"b":{"c":1},"A":2}"#).has_duplicate());
        assert!(read(r#"{"a":1,"b":2,"a":1}"#).has_duplicate());
        assert!(read(r#"{"sub":"x","s\u0075b":"y"}"#).has_duplicate());
    }

    #[test]
    fn only_an_object_is_accepted() {
        for text in [
            "[]",
            "1",
            "\"a\"",
            "null",
            "{} {}",
            "",
            "{\"a\":1e400}",
            "{\"a\":1,}",
        ] {
            assert!(serde_json::from_str::<JsonObject>(text).is_err(), "{text}");
        }
    }
}
