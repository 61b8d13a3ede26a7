//! Why a document can't be cut.

use std::fmt;

use super::scanner::ScanError;

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
