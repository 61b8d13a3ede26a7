//! Paths that name places in a document, such as `result.pic_list[].pic`.
//!
//! Never sees a document.

use std::fmt;

/// A step of a [`MemberPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// The member with this name.
    Member(String),
    /// Every element of an array: `[]`.
    Elements,
}

/// A path from the root of a document, like `result.pic_list[].pic`. It has at least one step, and
/// the first is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<PathStep>);

/// Why a text is not a [`MemberPath`]. Each variant holds the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberPathError {
    /// A step has no name.
    #[error("`{0}` has a step without a name; write it like `result.pic_list[].pic`")]
    NoName(String),
    /// Brackets are not `[]`, or not at the end of a step.
    #[error("`{0}` may hold `[]` (every element) after a name and nothing else in brackets")]
    Brackets(String),
}

impl MemberPath {
    /// The steps, from the root.
    pub fn steps(&self) -> &[PathStep] {
        &self.0
    }

    /// Whether `other` is this path, or leads into what is at this path.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The root's member with exactly this name, which may contain `.`, `[` or `]`.
    pub fn member(name: &str) -> Self {
        Self(vec![PathStep::Member(name.to_owned())])
    }

    /// Parses `a.b[].c`. Member names can't contain `.`, `[` or `]`.
    ///
    /// # Errors
    /// A step has no name, or brackets are not `[]`.
    pub fn parse(text: &str) -> Result<Self, MemberPathError> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let name_end = part.find('[').unwrap_or(part.len());
            let (name, mut rest) = part.split_at(name_end);
            if name.is_empty() || name.contains(']') {
                return Err(MemberPathError::NoName(text.to_owned()));
            }
            steps.push(PathStep::Member(name.to_owned()));
            while !rest.is_empty() {
                rest = rest
                    .strip_prefix("[]")
                    .ok_or_else(|| MemberPathError::Brackets(text.to_owned()))?;
                steps.push(PathStep::Elements);
            }
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Member(name) if at == 0 => f.write_str(name)?,
                PathStep::Member(name) => write!(f, ".{name}")?,
                PathStep::Elements => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::MemberPath;

    #[test]
    fn a_path_is_displayed_as_it_was_written() {
        for text in [
            "a",
            "result.best_image.pic",
            "result.pic_list[].pic",
            "a[][].b",
        ] {
            assert_eq!(MemberPath::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_path_covers_itself_and_what_is_in_it() {
        let covers = |path: &str, other: &str| {
            let [path, other] = [path, other].map(|text| MemberPath::parse(text).unwrap());
            path.covers(&other)
        };
        assert!(covers("a.b", "a.b") && covers("a", "a.b[].c") && covers("a[]", "a[].b"));
        assert!(!covers("a.b", "a") && !covers("a", "ab") && !covers("a[]", "a.b"));
    }

    #[test]
    fn malformed_paths_are_rejected() {
        for text in [
            "", ".", "a.", ".a", "a[", "a]", "a[0]", "a[]b", "[].a", "a..b",
        ] {
            assert!(MemberPath::parse(text).is_err(), "{text}");
        }
    }
}
