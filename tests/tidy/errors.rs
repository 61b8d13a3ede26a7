//! Errors are types: no production signature has a text as its error.

use crate::{modules::tree, none, source::line};

#[test]
fn no_error_is_a_text() {
    let faults = tree().0.values().flat_map(|module| {
        let results = module.code.match_indices("Result<");
        let texts = results.filter(|(offset, _)| {
            let error = error(&module.code[offset + "Result<".len()..]);
            error == "String" || (error.starts_with('&') && error.ends_with("str"))
        });
        let named = texts.map(|(offset, _)| {
            let line = line(&module.code, offset);
            format!("{}:{line}", module.file.name)
        });
        named.collect::<Vec<_>>()
    });
    none(
        &faults.collect::<Vec<_>>(),
        "give the error a type that implements `std::error::Error`",
    );
}

/// The second argument of a `Result<` whose arguments begin this text; empty without one.
fn error(text: &str) -> &str {
    let (mut depth, mut second) = (0, None);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' if text[..at].ends_with('-') => {}
            b'>' if depth == 0 => {
                let start = second.unwrap_or(at);
                return text[start..at].trim().trim_end_matches(',').trim();
            }
            b'>' | b')' | b']' => depth -= 1,
            b',' if depth == 0 && second.is_none() => second = Some(at + 1),
            _ => {}
        }
    }
    ""
}
