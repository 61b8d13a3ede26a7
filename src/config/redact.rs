//! Decides which parts of a configuration may be shown, and replaces all others by stars.
//!
//! A secret is often pasted where only its source belongs: as the value itself, as the name of a
//! variable or file, under a misspelt key, or in a line that is not TOML. Whatever may be a secret
//! never reaches an error, an excerpt, a log line or the effective configuration.

use std::ops::Range;

use super::{
    diagnostics::ConfigLocation,
    keys::{self, ConfigKey, ValueType},
    tree::{self, ConfigItem, ConfigTable, ConfigValue},
};

/// The key whose path may be confused with a secret.
const PRIVATE_KEY: &str = "server.tls.private_key";

/// Stands for what is not shown.
const MASK: &str = "***";

/// What `env` or `file` names, or a mask if it may be the secret itself.
///
/// Shown are names of variables in upper case, and paths with a `/` or a `.` that do not look like
/// a key, a URL or a PEM block.
pub(super) fn shown_source<'a>(kind: &str, text: &'a str) -> &'a str {
    match may_be_secret(kind, text) {
        true => MASK,
        false => text,
    }
}

fn may_be_secret(kind: &str, text: &str) -> bool {
    if kind == "env" {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        return text.is_empty() || !text.bytes().all(plain);
    }
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let key = text.len() >= 32 && !text.starts_with('/') && text.bytes().all(base64);
    let foreign = ["://", "whsec_", "-----"]
        .iter()
        .any(|part| text.contains(part));
    !text.contains(['/', '.']) || key || foreign || text.contains(char::is_control)
}

/// The name of an unknown key, or a mask if it is too long for a name.
pub(super) fn shown_name(name: &str) -> &str {
    match name.chars().count() <= 32 && !name.contains(char::is_control) {
        true => name,
        false => MASK,
    }
}

/// The text with a mask for the user and password of a URL.
pub(super) fn shown_url(text: &str) -> String {
    match text.split_once("://").zip(text.rsplit_once('@')) {
        Some(((scheme, _), (_, rest))) => format!("{scheme}://{MASK}@{rest}"),
        None => text.into(),
    }
}

/// A path as errors may show it. The path of a private key is masked if it may be the key itself.
pub(super) fn shown_path<'a>(key: &str, text: &'a str) -> &'a str {
    match key {
        PRIVATE_KEY => shown_source("file", text),
        _ => text,
    }
}

/// The text of a file with stars in place of all that may be a secret. `root` is what was read of
/// it, before any override. Where the text is not TOML, `root` is incomplete, so lines are shown
/// only as far as they consist of known names and values that are no secrets.
///
/// Each byte is replaced by one star, so that locations stay valid.
pub(super) fn redacted(text: &str, root: &ConfigTable, is_toml: bool) -> String {
    let mut hidden = Hidden(vec![false; text.len()]);
    hidden.table(root, "");
    if !is_toml {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let end = start + line.len();
            hidden.span(&(start + shown_length(line)..end));
            start = end;
        }
    }
    let mut redacted = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        let is_hidden = hidden.0.get(at).is_some_and(|hidden| *hidden);
        match is_hidden && !matches!(letter, '\n' | '\r') {
            true => redacted.extend(std::iter::repeat_n('*', letter.len_utf8())),
            false => redacted.push(letter),
        }
    }
    redacted
}

/// For each byte of a file, whether it may be a part of a secret.
struct Hidden(Vec<bool>);

impl Hidden {
    fn table(&mut self, table: &ConfigTable, section: &str) {
        for (name, (location, item)) in table {
            let path = keys::join(section, name);
            if shown_name(name) == MASK {
                self.location(location);
            }
            match (keys::find(&path), &item.value) {
                (Some(key), value) if may_be_shown(key, value) => {}
                (Some(_), ConfigValue::Table(inner)) if tree::source_of(inner).is_some() => {
                    inner.values().for_each(|(_, text)| self.item(text));
                }
                (None, ConfigValue::Table(inner)) if keys::is_list(&path) => {
                    self.table(inner, &format!("{path}[]"));
                }
                (None, ConfigValue::Table(inner)) if keys::is_section(&path) => {
                    self.table(inner, &path);
                }
                (None, ConfigValue::List(items)) if keys::is_list(&path) => {
                    for item in items {
                        match &item.value {
                            ConfigValue::Table(inner) => self.table(inner, &format!("{path}[]")),
                            _ => self.item(item),
                        }
                    }
                }
                (None, value) if is_misspelt(section, name, value) => {}
                _ => self.item(item),
            }
        }
    }

    /// The whole of a value. Of a table, the names and values in it: a header stays readable.
    fn item(&mut self, item: &ConfigItem) {
        match &item.value {
            ConfigValue::List(items) => items.iter().for_each(|item| self.item(item)),
            ConfigValue::Table(table) => {
                for (location, item) in table.values() {
                    self.location(location);
                    self.item(item);
                }
            }
            _ => self.location(&item.location),
        }
    }

    fn location(&mut self, location: &ConfigLocation) {
        if let ConfigLocation::Span(span) = location {
            self.span(span);
        }
    }

    fn span(&mut self, span: &Range<usize>) {
        if let Some(bytes) = self.0.get_mut(span.clone()) {
            bytes.fill(true);
        }
    }
}

/// Whether the value of a key is no secret, nor anything in the place of one.
fn may_be_shown(key: &ConfigKey, value: &ConfigValue) -> bool {
    match (key.value_type, value) {
        (ValueType::Secret, ConfigValue::Table(table)) => {
            tree::source_of(table).is_some_and(|(kind, text, _)| !may_be_secret(kind, text))
        }
        (ValueType::Secret, _) => false,
        (_, ConfigValue::Text(text)) if shown_path(key.path, text) != text => false,
        _ => is_plain(value),
    }
}

/// Whether no text in the value has a password, or several lines: with a quote that is missing, the
/// rest of the file is a part of the text.
fn is_plain(value: &ConfigValue) -> bool {
    match value {
        ConfigValue::Text(text) => !text.contains(char::is_control) && shown_url(text) == *text,
        ConfigValue::List(items) => items.iter().all(|item| is_plain(&item.value)),
        ConfigValue::Table(table) => table.values().all(|(_, item)| is_plain(&item.value)),
        _ => true,
    }
}

/// Whether an unknown name was meant to be a key, and its value may be shown.
fn is_misspelt(section: &str, name: &str, value: &ConfigValue) -> bool {
    let meant = keys::closest(section, name);
    let key = meant.and_then(|meant| keys::find(&keys::join(section, meant)));
    key.is_some_and(|key| may_be_shown(key, value)) || matches!(value, ConfigValue::Boolean(_))
}

/// How many bytes of a line may be shown in a text that is not TOML: all of a header and of a plain
/// key with its value, the name of any other key, and nothing of a line without a known name.
fn shown_length(line: &str) -> usize {
    let header = |byte: u8| byte.is_ascii_lowercase() || b"[]._ \r\n".contains(&byte);
    if line.starts_with('[') && line.len() < 64 && line.bytes().all(header) {
        return line.len();
    }
    let (name, value) = match line.find(['=', ':']) {
        Some(at) => line.split_at(at),
        None => (line, ""),
    };
    let last = name.trim().rsplit('.').next().unwrap_or_default();
    let named: Vec<_> = keys::all()
        .filter(|key| key.path.split(['.', '[', ']']).any(|step| step == last))
        .collect();
    let is_plain = named.iter().all(|key| {
        key.value_type != ValueType::Secret && key.path != PRIVATE_KEY && key.path.ends_with(last)
    });
    let suspicious = ["secret", "key", "env", "file", "://"];
    match (named.is_empty(), is_plain) {
        (true, _) => 0,
        (_, true) if !suspicious.iter().any(|word| value.contains(word)) => line.len(),
        _ => name.len() + usize::from(!value.is_empty()),
    }
}
