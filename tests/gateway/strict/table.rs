//! Reads a table of cases; the head of `http1.txt` describes its form.

use crate::support::{SESSIONCODE, bearer};

/// A row.
pub(super) struct StrictCase {
    /// Names the row.
    pub(super) label: String,
    pub(super) statuses: Vec<u16>,
    /// Whether the connection stays open.
    pub(super) goes_on: bool,
    /// What is sent.
    pub(super) bytes: Vec<u8>,
}

/// The rows of a table.
pub(super) fn read(text: &str) -> Vec<StrictCase> {
    let fields = format!(
        "Authorization: {}\\r\\nContent-Type: application/json",
        bearer("u")
    );
    let (mut cases, mut template) = (Vec::new(), "");
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(line) = line.strip_prefix("@ ") {
            template = line;
            continue;
        }
        let mut columns = line.splitn(4, '|');
        let mut column = || columns.next().unwrap_or_else(|| panic!("{line}"));
        let (status, section, name, bytes) = (column().trim(), column(), column(), column());
        assert!(section.trim().starts_with("RFC "), "{line}");
        let numbers = status.trim_end_matches('+').split(',');
        // One blank behind the last bar belongs to the table.
        let whole = template.replace("$CASE", bytes.strip_prefix(' ').unwrap_or(bytes));
        let whole = whole
            .replace("$AUTH", &fields)
            .replace("$ROUTE", SESSIONCODE);
        cases.push(StrictCase {
            label: format!("{}, {}", name.trim(), section.trim()),
            statuses: numbers.map(|status| status.parse().unwrap()).collect(),
            goes_on: status.ends_with('+'),
            bytes: bytes_of(&repeated(&whole)),
        });
    }
    cases
}

/// The text with each `$(9000*a)` replaced by 9000 times `a`, inner ones first.
fn repeated(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(begin) = text.rfind("$(") {
        let end = begin + text[begin..].find(')').unwrap();
        let (count, part) = text[begin + 2..end].split_once('*').unwrap();
        let part = part.repeat(count.parse().unwrap());
        text.replace_range(begin..=end, &part);
    }
    text
}

/// The bytes that a text with escapes stands for.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend(plain.as_bytes());
        let length = if escape.starts_with('x') { 3 } else { 1 };
        bytes.push(match &escape[..length] {
            "r" => b'\r',
            "n" => b'\n',
            "t" => b'\t',
            "0" => 0,
            "\\" => b'\\',
            hex => u8::from_str_radix(hex.strip_prefix('x').unwrap(), 16).unwrap(),
        });
        rest = &escape[length..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}
