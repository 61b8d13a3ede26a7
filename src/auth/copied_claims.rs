//! The claims of a user's token that verdicts repeat (`verdict.copy_claims`), as the issuer wrote
//! them.
//!
//! Relies on its caller to pass the payload of a verified token, in which no name occurs twice.
//! Never interprets a value, and never formats a number anew. It has no `Debug`: claims may be
//! personal data.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::refusal::AuthRefusal;
use crate::wipe;

/// Maximum size of the copied claims of one token as a JSON object, in bytes. They are kept with
/// the verified token, and every verdict of its user carries them.
const MAX_BYTES: usize = 1024;

/// The copied claims of one token: a JSON object with at least one member.
#[derive(Clone)]
pub struct CopiedClaims(Box<RawValue>);

impl CopiedClaims {
    /// Copies the claims of these names; `None` if the token has none of them. `payload` is the
    /// encoded payload of a token that was accepted otherwise.
    ///
    /// # Errors
    /// `CopiedClaimsTooLong`.
    pub(super) fn of(payload: &str, names: &[Box<str>]) -> Result<Option<Self>, AuthRefusal> {
        let payload = wipe::base64url(payload.as_bytes()).ok_or(AuthRefusal::Malformed)?;
        let mut json = serde_json::Deserializer::from_slice(&payload);
        let found = ClaimsOfNames(names).deserialize(&mut json);
        let found = found.map_err(|_| AuthRefusal::Malformed)?;
        if found.is_empty() {
            return Ok(None);
        }
        let object = serde_json::value::to_raw_value(&found);
        let object = object.map_err(|_| AuthRefusal::Malformed)?;
        match object.get().len() {
            0..=MAX_BYTES => Ok(Some(Self(object))),
            _ => Err(AuthRefusal::CopiedClaimsTooLong),
        }
    }

    /// The object.
    pub fn json(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for CopiedClaims {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for CopiedClaims {}

/// Reads an object, and keeps the members of these names as they are written.
struct ClaimsOfNames<'n>(&'n [Box<str>]);

impl<'n, 'de> DeserializeSeed<'de> for ClaimsOfNames<'n> {
    type Value = BTreeMap<&'n str, &'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'n, 'de> Visitor<'de> for ClaimsOfNames<'n> {
    type Value = BTreeMap<&'n str, &'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut found = BTreeMap::new();
        while let Some(name) = access.next_key::<String>()? {
            match self.0.iter().find(|wanted| ***wanted == *name) {
                Some(wanted) => {
                    found.insert(&**wanted, access.next_value()?);
                }
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(payload: &str, names: &[&str]) -> Result<Option<String>, AuthRefusal> {
        let names: Vec<Box<str>> = names.iter().map(|name| (*name).into()).collect();
        let copied = CopiedClaims::of(
            &data_encoding::BASE64URL_NOPAD.encode(payload.as_bytes()),
            &names,
        );
        Ok(copied?.map(|copied| copied.json().get().to_owned()))
    }

    #[test]
    fn claims_are_copied_as_they_are_written() {
        let payload = r#"{"z":"Z","sub":"u","a" : 1.50e+2 ,"n":null,"o":{"b":[1, 2],"a":{}},
            "big":123456789012345678901234567890,"\u0065":"\u0041\"","f":false}"#;
        for (names, wanted) in [
            (&["a"][..], Some(r#"{"a":1.50e+2}"#)),
            (&["z", "n", "f"], Some(r#"{"f":false,"n":null,"z":"Z"}"#)),
            (&["o"], Some(r#"{"o":{"b":[1, 2],"a":{}}}"#)),
            (&["big"], Some(r#"{"big":123456789012345678901234567890}"#)),
            (&["e"], Some(r#"{"e":"\u0041\""}"#)),
            (&["absent", "z"], Some(r#"{"z":"Z"}"#)),
            (&["absent", "Z", "b"], None),
            (&[], None),
        ] {
            assert_eq!(copied(payload, names), Ok(wanted.map(str::to_owned)));
        }
    }

    #[test]
    fn claims_over_a_kibibyte_are_refused() {
        let payload = |length: usize| format!(r#"{{"a":"{}","b":"x"}}"#, "x".repeat(length));
        let around = r#"{"a":""}"#.len();
        let fits = payload(MAX_BYTES - around);
        assert!(copied(&fits, &["a"]).is_ok_and(|copied| copied.is_some()));
        assert_eq!(
            copied(&payload(MAX_BYTES - around + 1), &["a"]),
            Err(AuthRefusal::CopiedClaimsTooLong)
        );
        assert_eq!(
            copied(&fits, &["a", "b"]),
            Err(AuthRefusal::CopiedClaimsTooLong)
        );
        assert!(copied(&payload(5000), &["b"]).is_ok());
    }
}
