//! One-pass JSON: scanning, and cutting while scanning. No business words in here.
//!
//! [`scanner`] splits bytes into events, strictly by RFC 8259, and can stop and go on at any byte. [`cut`] follows the
//! events with a set of [`rules`] and tells a [`sink`] which bytes stay and which values were wanted. [`rules::MemberPath`] is how paths are written. Nothing here ever
//! builds a tree, recurses, or holds more than one short token.

pub mod cut;
pub mod letters;
mod member;
pub mod rules;
pub mod scanner;
pub mod sink;
mod state;
mod string;

use std::fmt;

/// Why the bytes are not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// A byte that can't stand where it stands.
    Unexpected,
    /// The bytes ended too early.
    Incomplete,
    /// Nested too deep.
    Depth,
    /// A control character inside a string.
    ControlCharacter,
    /// An escape that JSON does not have.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// Bytes that are not UTF-8.
    Utf8,
    /// Not a number.
    Number,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unexpected => "a character stands where JSON does not allow it",
            Self::Incomplete => "the JSON ends too early",
            Self::Depth => "the JSON is nested too deeply",
            Self::ControlCharacter => "a string holds an unescaped control character",
            Self::Escape => "a string holds an invalid escape",
            Self::Surrogate => "a string holds half of a surrogate pair",
            Self::Utf8 => "a string is not valid UTF-8",
            Self::Number => "a number is malformed",
        })
    }
}

/// Why a document can't be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutError {
    /// Not JSON.
    Json(ScanError),
    /// JSON, but not an object.
    NotAnObject,
    /// A member stands twice where that would be ambiguous.
    DuplicateKey,
    /// Over 1,024 members in an object that is looked at.
    TooManyMembers,
}

impl fmt::Display for CutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::NotAnObject => f.write_str("the JSON is not an object"),
            Self::DuplicateKey => f.write_str("an object has two members of the same name"),
            Self::TooManyMembers => f.write_str("an object has more than 1024 members"),
        }
    }
}

impl From<ScanError> for CutError {
    fn from(error: ScanError) -> Self {
        Self::Json(error)
    }
}

#[cfg(test)]
mod tests;
