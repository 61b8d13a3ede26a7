//! A JSON object that reports duplicate members, at any depth.
//!
//! With a duplicate, two readers of one token could see two different users. Names are compared
//! after their escapes are resolved, so `"s\u0075b"` is `sub`. Errors never contain a value: it may
//! be personal data or a key.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The members of one JSON object, and whether any name in it occurs twice.
pub(super) struct JsonObject {
    members: Map<String, Value>,
    duplicate: bool,
}

/// The member exists and is not a string.
#[derive(Debug, thiserror::Error)]
#[error("the member is not a string")]
pub(super) struct NotAString;

impl JsonObject {
    /// Whether any name occurs more than once, in this object or in one inside it. If so, the
    /// result of [`JsonObject::member`] must not be used.
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

/// The text of a string or of a whole number; `None` for any other value.
///
/// A number with a fraction, an exponent or too many digits is a float here, which has no text of
/// its own: two of them could round to one.
pub(super) fn identifier(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if number.is_u64() || number.is_i64() => {
            Some(Cow::Owned(number.to_string()))
        }
        _ => None,
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut duplicate = false;
        let reader = ValueReader {
            duplicate: &mut duplicate,
        };
        match deserializer.deserialize_map(reader)? {
            Value::Object(members) => Ok(Self { members, duplicate }),
            _ => Err(D::Error::custom("not an object")),
        }
    }
}

/// Builds a value as `serde_json` does, and notes duplicate names.
struct ValueReader<'a> {
    duplicate: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(number.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(ValueReader {
            duplicate: self.duplicate,
        })? {
            elements.push(element);
        }
        Ok(elements.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(ValueReader {
                duplicate: self.duplicate,
            })?;
            *self.duplicate |= members.insert(name, value).is_some();
        }
        Ok(members.into())
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
    fn a_duplicate_name_is_reported_however_deep_it_is() {
        assert!(read(r#"{"a":{"b":1,"\u0062":2}}"#).has_duplicate());
        assert!(read(r#"{"a":[1,{"b":[{"c":1,"c":1}]}],"d":2}"#).has_duplicate());
        assert!(!read(r#"{"a":{"b":1},"b":[{"b":1},{"b":2}]}"#).has_duplicate());
    }

    #[test]
    fn values_are_those_of_the_library() {
        let text = r#"{"a":null,"b":[true,false,[]],"c":{"d":-1,"e":18446744073709551615},
            "f":[0.5,-0,1e3,1.0,18446744073709551616],"g":"\u00e9\n","h":{}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(read(text).members), value);
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
