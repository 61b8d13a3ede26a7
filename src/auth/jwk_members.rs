//! The members of one JSON Web Key (RFC 7517) that decide which key it is and what it is for.
//!
//! Issuers write these in more ways than the standard has. A spelling is accepted if it can have
//! one meaning only: `null` for a member that is absent, base64 with padding or in the other
//! alphabet, a whole number as the `kid`. Any other member is skipped unread, whatever it holds.
//! Never guesses: a member that is given twice is reported, and a value of another type is an
//! error. No error contains a value.

use std::{borrow::Cow, fmt};

use data_encoding::BASE64URL_NOPAD;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::json_object::identifier;

/// The members of public keys and of shared secrets that are read.
const READ: [&str; 10] = [
    "kty", "kid", "use", "key_ops", "alg", "crv", "n", "e", "x", "y",
];

/// Members that only private keys have.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The secret of a key of the type `oct`.
const SECRET: &str = "k";

/// The members that are read of one key, each with its value.
pub(super) struct JwkMembers {
    members: Vec<(&'static str, Value)>,
    duplicate: bool,
}

/// Why a member can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwkMemberError {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is not {1}")]
    WrongType(&'static str, &'static str),
}

impl JwkMembers {
    /// Whether one of these members is given twice. Then no other method must be used.
    pub(super) fn has_duplicate(&self) -> bool {
        self.duplicate
    }

    /// A member that only private keys have.
    pub(super) fn private(&self) -> Option<&'static str> {
        let mut private = PRIVATE.into_iter();
        private.find(|name| self.member(name).is_some())
    }

    /// `kid`.
    pub(super) fn id(&self) -> Result<Option<Cow<'_, str>>, JwkMemberError> {
        let wrong = JwkMemberError::WrongType("kid", "a string");
        let id = self.member("kid").map(identifier);
        id.map(|id| id.ok_or(wrong)).transpose()
    }

    /// The operations in `key_ops`.
    pub(super) fn operations(&self) -> Result<Option<Vec<&str>>, JwkMemberError> {
        match self.member("key_ops") {
            None => Ok(None),
            Some(Value::String(operation)) => Ok(Some(vec![operation])),
            Some(Value::Array(operations)) => {
                Ok(Some(operations.iter().filter_map(Value::as_str).collect()))
            }
            Some(_) => Err(JwkMemberError::WrongType("key_ops", "an array of strings")),
        }
    }

    /// The text of a member.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, JwkMemberError> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(JwkMemberError::WrongType(name, "a string")),
        }
    }

    /// The text of a member that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, JwkMemberError> {
        self.text(name)?.ok_or(JwkMemberError::Missing(name))
    }

    /// The bytes of a member that must be there; at least one.
    pub(super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, JwkMemberError> {
        let wrong = JwkMemberError::WrongType(name, "base64url");
        let bytes = decode(self.required(name)?).ok_or(wrong)?;
        match bytes.is_empty() {
            true => Err(JwkMemberError::Missing(name)),
            false => Ok(bytes),
        }
    }

    /// The value of a member. Some serializers write `null` for a member that is absent.
    fn member(&self, name: &str) -> Option<&Value> {
        let mut members = self.members.iter();
        let (_, value) = members.find(|(known, _)| *known == name)?;
        Some(value).filter(|value| !value.is_null())
    }
}

/// Decodes base64 of either alphabet, with or without padding. (A `,` is the padding of some PHP
/// issuers.) Stray bits at the end are rejected: they mean that the text was cut.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .map(|letter| match letter {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    let letters = text.trim_end_matches(['=', ',']);
    BASE64URL_NOPAD.decode(letters.as_bytes()).ok()
}

impl<'de> Deserialize<'de> for JwkMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JwkVisitor)
    }
}

struct JwkVisitor;

impl<'de> Visitor<'de> for JwkVisitor {
    type Value = JwkMembers;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON Web Key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<JwkMembers, A::Error> {
        let mut key = JwkMembers {
            members: Vec::new(),
            duplicate: false,
        };
        while let Some(name) = access.next_key::<String>()? {
            let mut read = READ.into_iter().chain(PRIVATE).chain([SECRET]);
            let Some(name) = read.find(|read| *read == name) else {
                access.next_value::<IgnoredAny>()?;
                continue;
            };
            key.duplicate |= key.members.iter().any(|(known, _)| *known == name);
            key.members.push((name, access.next_value()?));
        }
        Ok(key)
    }
}
