//! One-pass JSON: scanning, and cutting while scanning. Knows nothing about what documents mean.
//!
//! [`scanner`] splits bytes into events, strictly by RFC 8259, and can pause and resume at any
//! byte. [`cut`] applies a set of [`rules`] to the events and tells a [`sink`] which bytes stay and
//! which values were captured; [`rules::MemberPath`] is how rules name places in a document.
//! Nothing here builds a tree, recurses, or holds more than one short token.

pub mod cut;
pub mod letters;
mod member;
mod path;
pub mod rules;
mod scalar;
pub mod scanner;
pub mod sink;
mod state;
mod string;

/// Why bytes are not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// A byte that is not allowed at its position.
    #[error("a character is not allowed at its position")]
    Unexpected,
    /// The bytes end before the document is complete.
    #[error("the JSON ends too early")]
    Incomplete,
    /// Nesting deeper than [`scanner::MAX_DEPTH`].
    #[error("the JSON is nested too deeply")]
    Depth,
    /// A control character inside a string.
    #[error("a string holds an unescaped control character")]
    ControlCharacter,
    /// An escape that JSON does not define.
    #[error("a string holds an invalid escape")]
    Escape,
    /// Half of a surrogate pair.
    #[error("a string holds half of a surrogate pair")]
    Surrogate,
    /// Bytes that are not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// A malformed number.
    #[error("a number is malformed")]
    Number,
}

/// Why a document can't be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// It is not JSON.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// It is JSON, but not an object.
    #[error("the JSON is not an object")]
    NotAnObject,
    /// A watched object has two members of the same name.
    #[error("an object has two members of the same name")]
    DuplicateKey,
    /// A watched object has more than 1,024 members.
    #[error("an object has more than 1024 members")]
    TooManyMembers,
}

#[cfg(test)]
mod tests;
