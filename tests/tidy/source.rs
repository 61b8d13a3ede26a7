//! The repository's files as text, and Rust sources with their comments, strings and tests told
//! apart from code.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file, named by its path in the repository.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn read(name: &str) -> Self {
        let text =
            fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            name: name.to_owned(),
            text,
        }
    }

    /// Lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below these folders (or the folder itself, when it is ".") with this extension, in
/// order.
pub(crate) fn files(folders: &[&str], extension: &str) -> Vec<File> {
    let mut names = Vec::new();
    for folder in folders {
        collect(&root().join(folder), extension, &mut names);
    }
    names.sort();
    let name = |path: PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    names.into_iter().map(|it| File::read(&name(it))).collect()
}

fn collect(folder: &Path, extension: &str, names: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            // What is built or fetched, and what belongs to Git.
            if !matches!(name, "target" | "node_modules" | "corpus" | ".git") {
                collect(&path, extension, names);
            }
        } else if path.extension().is_some_and(|it| it == extension) {
            names.push(path);
        }
    }
}

/// What a byte of a Rust source belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Code,
    Comment,
    Text,
}

/// The kind of each byte.
pub(crate) fn kinds(source: &str) -> Vec<Kind> {
    let bytes = source.as_bytes();
    let mut kinds = Vec::with_capacity(bytes.len());
    while kinds.len() < bytes.len() {
        let (before, rest) = bytes.split_at(kinds.len());
        let plain = rest.iter().take_while(|byte| !b"/\"'br".contains(byte));
        let plain = plain.count();
        if plain > 0 {
            kinds.resize(before.len() + plain, Kind::Code);
            continue;
        }
        let (length, kind) = token(before, rest);
        kinds.extend(std::iter::repeat_n(kind, length));
    }
    kinds
}

/// The length and kind of what `rest` begins with.
fn token(before: &[u8], rest: &[u8]) -> (usize, Kind) {
    let after_word = before.last().is_some_and(|&byte| is_word(byte));
    match rest {
        [b'/', b'/', ..] => (until(rest, b"\n"), Kind::Comment),
        [b'/', b'*', ..] => ((until(rest, b"*/") + 2).min(rest.len()), Kind::Comment),
        [b'"', ..] => (quoted(rest), Kind::Text),
        [b'r', b'"' | b'#', ..] if !after_word && raw(rest).is_some() => {
            (raw(rest).unwrap(), Kind::Text)
        }
        [b'b', b'r', b'"' | b'#', ..] if !after_word && raw(&rest[1..]).is_some() => {
            (1 + raw(&rest[1..]).unwrap(), Kind::Text)
        }
        [b'\'', b'\\', ..] => (2 + until(&rest[3..], b"'") + 2, Kind::Text),
        [b'\'', _, b'\'', ..] => (3, Kind::Text),
        _ => (1, Kind::Code),
    }
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Bytes in front of `end`, or all.
fn until(bytes: &[u8], end: &[u8]) -> usize {
    let found = bytes.windows(end.len()).position(|part| part == end);
    found.unwrap_or(bytes.len())
}

fn quoted(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The length of a raw string, if this is one.
fn raw(bytes: &[u8]) -> Option<usize> {
    let hashes = bytes[1..].iter().take_while(|&&byte| byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let opening = 2 + hashes;
    Some(opening + until(&bytes[opening..], &end) + end.len())
}

/// The source with everything but code made blank; offsets and lines stay.
pub(crate) fn code(source: &str) -> String {
    keep(source, Kind::Code)
}

/// The source with everything but bytes of this kind made blank; offsets and lines stay.
pub(crate) fn keep(source: &str, kind: Kind) -> String {
    let kept = source.bytes().zip(kinds(source)).map(|(byte, of)| {
        if of == kind || byte == b'\n' {
            byte
        } else {
            b' '
        }
    });
    String::from_utf8_lossy(&kept.collect::<Vec<_>>()).into_owned()
}

/// The strings of a source, without their quotes, with the offsets of these.
pub(crate) fn strings(source: &str) -> Vec<(usize, &str)> {
    let (kinds, mut found, mut at) = (kinds(source), Vec::new(), 0);
    while let Some(length) = kinds[at..].iter().position(|&kind| kind == Kind::Text) {
        let start = at + length;
        let rest = &source[start..];
        let length = token(&source.as_bytes()[..start], rest.as_bytes()).0;
        let literal = rest[..length].trim_start_matches(['b', 'r']);
        let literal = literal.trim_matches('#').trim_matches(['"', '\'']);
        found.push((start, literal));
        at = start + length;
    }
    found
}

/// The code without items under `#[cfg(test)]`, also blanked.
pub(crate) fn production(source: &str) -> String {
    let mut code = code(source).into_bytes();
    while let Some(start) = find(&code, "#[cfg(test)]") {
        let end = start + item(&code[start..]);
        for byte in &mut code[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(code).unwrap()
}

fn find(code: &[u8], part: &str) -> Option<usize> {
    str::from_utf8(code).unwrap().find(part)
}

/// The length of an item: up to its `;`, or its closing brace.
fn item(code: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate() {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'}' if depth == 0 => return at,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            // A field, a variant, or a member of a call; the commas of items stand among their
            // generics.
            b',' if depth == 0 && !is_item(&code[..at]) => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn is_item(code: &[u8]) -> bool {
    let words = ["fn ", "impl", "struct ", "enum ", "trait "];
    words.iter().any(|word| find(code, word).is_some())
}

/// The line, counted from one, of an offset.
pub(crate) fn line(text: &str, offset: usize) -> usize {
    1 + text[..offset].bytes().filter(|&byte| byte == b'\n').count()
}
