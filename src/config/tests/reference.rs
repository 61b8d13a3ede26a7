//! The reference and the sample agree with the table of keys. To regenerate both:
//!
//!     UPDATE_DOCS=1 cargo test --lib config::tests::reference

use std::{fs, path::Path};

use crate::config::keys::{self, ConfigKey, KINDS, KeyDefault, ValueType};
use crate::route::RouteKind;

/// The width of a comment in the sample, in columns.
const COLUMNS: usize = 100;

/// Compares a file with what is generated from it, or replaces it.
fn check(file: &str, generate: fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).unwrap();
    let generated = generate(&text);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, generated).unwrap();
        return;
    }
    let pairs = text.lines().zip(generated.lines());
    let difference = pairs.into_iter().find(|(is, wanted)| is != wanted);
    assert!(
        text == generated,
        "{file} differs from the table of keys: {difference:#?}\nregenerate it: \
         UPDATE_DOCS=1 cargo test --lib config::tests::reference"
    );
}

/// The reference with a table of keys behind each `<!-- generated: SECTION -->`.
fn reference(text: &str) -> String {
    let mut generated = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        generated += &format!("{line}\n");
        let section = line.strip_prefix("<!-- generated: ");
        if let Some(section) = section.and_then(|it| it.strip_suffix(" -->")) {
            generated += &table(section);
            lines.find(|line| *line == "<!-- end -->").unwrap();
            generated += "<!-- end -->\n";
        }
    }
    generated
}

fn keys_below(section: &str) -> Vec<(&'static str, &'static ConfigKey)> {
    let name = |key: &'static ConfigKey| {
        let name = key.path.strip_prefix(section)?.strip_prefix('.')?;
        Some((name, key))
    };
    keys::all().filter_map(name).collect()
}

fn table(section: &str) -> String {
    let keys = keys_below(section);
    let by_kind = keys
        .iter()
        .any(|(_, key)| matches!(key.default, KeyDefault::ByKind(_)));
    let mut table = match by_kind {
        true => "| key | type | `session` | `verify` | `plain` | description |\n\
                 |---|---|---|---|---|---|\n"
            .to_owned(),
        false => "| key | type | default | description |\n|---|---|---|---|\n".to_owned(),
    };
    for (name, key) in keys {
        let cells = match by_kind {
            true => KINDS.map(|(_, kind)| default(key, Some(kind))).join(" | "),
            false => default(key, None),
        };
        let kind = type_name(key);
        table += &format!("| `{name}` | {kind} | {cells} | {} |\n", key.description);
    }
    table
}

fn default(key: &ConfigKey, kind: Option<RouteKind>) -> String {
    match (key.default, key.default_for(kind)) {
        (KeyDefault::Required, _) => "required".into(),
        (_, "") => "none".into(),
        (_, default) => format!("`{default}`"),
    }
}

fn type_name(key: &ConfigKey) -> String {
    let name = match key.value_type {
        ValueType::Text => "text".into(),
        ValueType::Word(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        ValueType::TextList => "text or list".into(),
        ValueType::Integer => "whole number".into(),
        ValueType::Fraction => "number".into(),
        ValueType::Boolean => "`true`, `false`".into(),
        ValueType::Size(_) | ValueType::OptionalSize => "size".into(),
        ValueType::Duration(_) | ValueType::OptionalDuration(_) => "duration".into(),
        ValueType::Rate => "rate".into(),
        ValueType::Members => "table".into(),
        ValueType::Secret => "secret".to_owned(),
    };
    match key.own_limits() {
        Some(limits) => format!("{name}, `{}` to `{}`", limits.min, limits.max),
        None => name,
    }
}

/// The sample with the description of each key above the line where it is first written.
fn sample(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    for (line, path) in text.lines().zip(paths(text)) {
        if let Some(path) = path
            && !seen.contains(&path)
        {
            while lines.last().is_some_and(|line| line.starts_with("# ")) {
                lines.pop();
            }
            let key = keys::find(&path).unwrap_or_else(|| panic!("no key {path}"));
            lines.extend(comment(&key.full_description()));
            seen.push(path);
        }
        lines.push(line.into());
    }
    lines.join("\n") + "\n"
}

fn comment(text: &str) -> Vec<String> {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.len() + 1 + word.len() > COLUMNS {
            lines.push(format!("# {word}"));
        } else {
            line.push_str(&format!(" {word}"));
        }
    }
    lines
}

/// For each line of the sample, the path of the key that it writes, in a comment or not.
pub(super) fn paths(text: &str) -> Vec<Option<String>> {
    let mut section = String::new();
    let path = |line: &str| {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix("[[").and_then(|it| it.strip_suffix("]]")) {
            section = format!("{name}[]");
        } else if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            section = name.into();
        } else if let Some((name, _)) = line.split_once(" = ")
            && !name.contains(' ')
        {
            return Some(keys::join(&section, name));
        }
        None
    };
    text.lines().map(path).collect()
}

#[test]
fn the_reference_shows_what_the_table_of_keys_says() {
    check("docs/configuration.md", reference);
}

#[test]
fn the_reference_has_every_key() {
    let shown = |line: &str| {
        let section = line.strip_prefix("<!-- generated: ")?;
        Some(keys_below(section.strip_suffix(" -->")?).len())
    };
    let text = include_str!("../../../docs/configuration.md");
    let count: usize = text.lines().filter_map(shown).sum();
    assert_eq!(count, keys::all().count());
}

#[test]
fn the_comments_of_the_sample_are_those_of_the_table_of_keys() {
    check("config/gateway.toml", sample);
}

#[test]
fn the_sample_shows_the_default_of_each_key_that_has_one() {
    let mut kind = None;
    for (line, path) in super::EXAMPLE.lines().zip(paths(super::EXAMPLE)) {
        let Some(path) = path else { continue };
        let (_, value) = line.split_once(" = ").unwrap();
        if path == "routes[].kind" {
            let known = KINDS
                .into_iter()
                .find(|(word, _)| format!("{word:?}") == value);
            kind = known.map(|(_, kind)| kind);
        }
        let key = keys::find(&path).unwrap();
        let default = key.default_for(kind);
        assert!(default.is_empty() || value == default, "{line}");
        let is_off = line.starts_with('#');
        assert!(
            !is_off || default.is_empty() || is_off_section(&path),
            "{line}"
        );
    }
}

/// Whether the sample has the whole section in comments.
fn is_off_section(path: &str) -> bool {
    let (section, _) = path.rsplit_once('.').unwrap();
    super::EXAMPLE
        .lines()
        .any(|line| line == format!("#[{section}]"))
}

#[test]
fn limits_and_defaults_of_the_table_of_keys_can_be_read() {
    use crate::config::units::{duration, size};
    for key in keys::all() {
        let readable = |text: &str| match key.value_type {
            ValueType::Size(_) => size(text).is_some(),
            _ => duration(text).is_some(),
        };
        if let ValueType::Size(limits) | ValueType::Duration(limits) = key.value_type {
            assert!(readable(limits.min), "{}", key.path);
            assert!(
                limits.max.is_empty() || readable(limits.max),
                "{}",
                key.path
            );
        }
        for (_, kind) in KINDS {
            let default = key.default_for(Some(kind));
            let location = crate::config::ConfigLocation::File;
            let parsed = crate::config::tree::parse_value(default, &location);
            assert!(default.is_empty() || parsed.is_some(), "{}", key.path);
        }
    }
}

#[test]
fn every_description_is_a_sentence() {
    for key in keys::all() {
        assert!(key.description.ends_with('.'), "{}", key.path);
        assert!(!key.description.contains(['|', '\n']), "{}", key.path);
        assert!(!key.description.contains("  "), "{}", key.path);
    }
}
