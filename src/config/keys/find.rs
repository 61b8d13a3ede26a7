//! Questions to the table of keys.

use super::{ConfigKey, all};

/// The key at `path`, if there is one.
pub(in crate::config) fn find(path: &str) -> Option<&'static ConfigKey> {
    all().find(|key| key.path == path)
}

/// Whether what stands behind this name could be a secret, however the name is misspelt.
pub(in crate::config) fn seems_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "key", "password", "token"]
        .iter()
        .any(|word| name.contains(word))
}

/// Whether keys stand below `path`.
pub(in crate::config) fn is_section(path: &str) -> bool {
    all().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]."))
    })
}

/// Whether `path` is an array of tables.
pub(in crate::config) fn is_list(path: &str) -> bool {
    all().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with("[]."))
    })
}

/// The names that may stand directly below `section` (empty: at the top).
pub(in crate::config) fn names_below(section: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = all()
        .filter_map(|key| match section {
            "" => Some(key.path),
            _ => key.path.strip_prefix(section)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split(['.', '[']).next())
        .collect();
    names.dedup();
    names
}
