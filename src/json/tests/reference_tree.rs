//! A document as a tree that keeps every token as written, by `serde_json`. A part of the reference
//! for scans and cuts.
//!
//! Shares nothing with the tested code but the maximum depth.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::json::scanner::MAX_DEPTH;

/// A document with strings, names and numbers as written.
#[derive(Clone, Debug, PartialEq)]
pub enum ReferenceTree {
    Object(Vec<(ReferenceText, ReferenceTree)>),
    Array(Vec<ReferenceTree>),
    String(ReferenceText),
    /// A number, `true`, `false` or `null`.
    Scalar(String),
}

/// A string: the text between its quotes, and its decoded value.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceText {
    pub raw: String,
    pub decoded: String,
}

struct RawMembers<'a>(Vec<(&'a RawValue, &'a RawValue)>);

/// Parses a document; `None` if `serde_json` rejects it or it is nested too deeply.
pub fn parse(bytes: &[u8]) -> Option<ReferenceTree> {
    tree(serde_json::from_slice::<&RawValue>(bytes).ok()?, MAX_DEPTH)
}

fn tree(value: &RawValue, levels: u8) -> Option<ReferenceTree> {
    let written = value.get();
    Some(match written.as_bytes().first()? {
        b'{' => {
            let levels = levels.checked_sub(1)?;
            let RawMembers(members) = serde_json::from_str(written).ok()?;
            let member = |(name, value): (&RawValue, &RawValue)| {
                Some((text(name.get())?, tree(value, levels)?))
            };
            ReferenceTree::Object(members.into_iter().map(member).collect::<Option<_>>()?)
        }
        b'[' => {
            let levels = levels.checked_sub(1)?;
            let elements: Vec<&RawValue> = serde_json::from_str(written).ok()?;
            let elements = elements.into_iter().map(|element| tree(element, levels));
            ReferenceTree::Array(elements.collect::<Option<_>>()?)
        }
        b'"' => ReferenceTree::String(text(written)?),
        _ => ReferenceTree::Scalar(written.to_owned()),
    })
}

fn text(written: &str) -> Option<ReferenceText> {
    let decoded = serde_json::from_str(written).ok()?;
    let raw = written.strip_prefix('"')?.strip_suffix('"')?.to_owned();
    Some(ReferenceText { raw, decoded })
}

impl<'de: 'a, 'a> Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Each).map(RawMembers)
    }
}
