//! The values of a configuration by their keys, as digests: what tells two configurations apart.
//!
//! Where a value is the source of a secret, its digest is that of the source, and the contents of
//! files and secrets have digests of their own. Never holds a value, only what it hashes to.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::rotation::InputVersion;

/// The values of a configuration.
#[derive(Default, PartialEq, Eq)]
pub struct ConfigValues {
    /// The section that is being read.
    section: String,
    sections: BTreeSet<String>,
    values: BTreeMap<String, [u8; 32]>,
    /// What was read from files and from the environment, by the key that names it.
    contents: BTreeMap<String, Vec<InputVersion>>,
}

/// The keys of what differs between two configurations, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChangedKeys(BTreeSet<String>);

impl ConfigValues {
    /// Begins the section of this header. Sections of a list are counted from 0, as overrides and
    /// log lines do.
    pub(super) fn begin(&mut self, header: &str) {
        let name = header.trim_matches(['[', ']']);
        self.section = match header.starts_with("[[") {
            true => {
                let numbered = |number: usize| format!("{name}[{number}]");
                let free = |name: &String| !self.sections.contains(name);
                (0..).map(numbered).find(free).unwrap_or_default()
            }
            false => name.to_owned(),
        };
        self.sections.insert(self.section.clone());
    }

    /// Adds a value of the section.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let key = format!("{}.{name}", self.section);
        self.values.insert(key, Sha256::digest(value).into());
    }

    /// Adds what was read from the file or variable that the key of an input names.
    pub(super) fn add_content(&mut self, input: &str, version: InputVersion) {
        // The input of a list says which list, but not always which element.
        let name = input.rsplit('.').next().unwrap_or(input);
        let key = format!("{}.{name}", self.section);
        self.contents.entry(key).or_default().push(version);
    }

    /// Whether the configuration has a section, written or not.
    pub(super) fn has_section(&self, section: &str) -> bool {
        self.sections.contains(section)
    }

    /// The keys whose values are not the same as before.
    pub fn changed_from(&self, before: &Self) -> ChangedKeys {
        let mut changed = differing(&self.values, &before.values);
        changed.extend(differing(&self.contents, &before.contents));
        ChangedKeys(changed)
    }

    /// Of the keys that begin so, those whose values are not the same as before. One that is
    /// invalid now does not count.
    pub(super) fn changed_values(&self, before: &Self, section: &str) -> BTreeSet<String> {
        let mut changed = differing(&self.values, &before.values);
        changed.retain(|key| {
            let belongs = key.strip_prefix(section);
            let belongs = belongs.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            let (of, _) = key.rsplit_once('.').unwrap_or_default();
            belongs && (self.values.contains_key(key) || !self.has_section(of))
        });
        changed
    }
}

impl ChangedKeys {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key of this section, or this very key, has changed.
    pub fn has(&self, path: &str) -> bool {
        let is_of = |key: &String| {
            let rest = key.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.0.iter().any(is_of)
    }

    /// The keys for a log line: the first ones, and how many more there are.
    pub fn shown(&self) -> String {
        const MAX_SHOWN: usize = 30;
        let first: Vec<_> = self.0.iter().take(MAX_SHOWN).map(String::as_str).collect();
        let more = self.0.len().saturating_sub(MAX_SHOWN);
        match more {
            0 => first.join(", "),
            _ => format!("{} and {more} more", first.join(", ")),
        }
    }
}

fn differing<V: PartialEq>(
    one: &BTreeMap<String, V>,
    other: &BTreeMap<String, V>,
) -> BTreeSet<String> {
    let keys = one.keys().chain(other.keys());
    let differs = |key: &&String| one.get(*key) != other.get(*key);
    keys.filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(sections: &[(&str, &[(&str, &str)])]) -> ConfigValues {
        let mut values = ConfigValues::default();
        for (header, members) in sections {
            values.begin(header);
            members
                .iter()
                .for_each(|(name, value)| values.add(name, value));
        }
        values
    }

    #[test]
    fn changed_keys_are_named_with_their_place_in_a_list() {
        let before = values(&[
            ("[server]", &[("listen", "a"), ("max_head_bytes", "1")]),
            ("[[routes]]", &[("rate", "1")]),
            ("[[routes]]", &[("rate", "1")]),
            ("[store]", &[("timeout", "1")]),
        ]);
        let after = values(&[
            ("[server]", &[("listen", "a"), ("max_head_bytes", "2")]),
            ("[[routes]]", &[("rate", "1")]),
            ("[[routes]]", &[("rate", "2"), ("quota", "")]),
        ]);
        let changed = after.changed_from(&before);
        assert_eq!(
            changed.shown(),
            "routes[1].quota, routes[1].rate, server.max_head_bytes, store.timeout"
        );
        assert!(changed.has("server") && changed.has("routes") && changed.has("routes[1].rate"));
        assert!(!changed.has("server.listen") && !changed.has("serve"));
        let removed = after.changed_values(&before, "store");
        assert_eq!(removed.into_iter().collect::<Vec<_>>(), ["store.timeout"]);
        assert!(after.changed_from(&after).is_empty());
    }

    #[test]
    fn a_long_list_of_keys_is_cut() {
        let many: Vec<_> = (0..40).map(|at| (format!("k{at:02}"), "1")).collect();
        let many: Vec<_> = many.iter().map(|(name, it)| (name.as_str(), *it)).collect();
        let changed = values(&[("[server]", &many)]).changed_from(&values(&[]));
        assert!(changed.shown().ends_with("server.k29 and 10 more"));
    }
}
