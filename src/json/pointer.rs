//! Paths into a JSON document, as the configuration writes them: `result.pic_list[].pic`.

use std::fmt;

/// One step of a [`MemberPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// The member of this name.
    Member(String),
    /// Every element of an array: `[]`.
    Elements,
}

/// A path from the document's root: at least one step, the first a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<PathStep>);

impl MemberPath {
    /// The steps, from the root.
    pub fn steps(&self) -> &[PathStep] {
        &self.0
    }

    /// The root's member of exactly this name.
    pub fn member(name: &str) -> Self {
        Self(vec![PathStep::Member(name.to_owned())])
    }

    /// Parses `a.b[].c`. Member names can't hold `.`, `[` or `]`.
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let name_end = part.find('[').unwrap_or(part.len());
            let (name, mut rest) = part.split_at(name_end);
            if name.is_empty() || name.contains(']') {
                return Err(format!(
                    "`{text}` has a step without a name; write it like `result.pic_list[].pic`"
                ));
            }
            steps.push(PathStep::Member(name.to_owned()));
            while !rest.is_empty() {
                rest = rest
                    .strip_prefix("[]")
                    .ok_or_else(|| format!("`{text}` may hold `[]` (every element) after a name and nothing else in brackets"))?;
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
    fn a_pointer_reads_back_as_it_was_written() {
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
    fn malformed_pointers_are_refused() {
        for text in [
            "", ".", "a.", ".a", "a[", "a]", "a[0]", "a[]b", "[].a", "a..b",
        ] {
            assert!(MemberPath::parse(text).is_err(), "{text}");
        }
    }
}
