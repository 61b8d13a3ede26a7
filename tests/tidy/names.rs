//! Names: each type's is its own, each test's is a sentence, and some words are not used.

use std::collections::BTreeMap;

use crate::{
    modules::tree,
    none,
    source::{File, Kind, code, files, is_word, keep, line},
};

/// Types that share a name with others, and why.
const SHARED: &[(&str, &str)] = &[("Error", "the error of a module, always named with it")];

/// Words of comments that a reader has to guess at, and what to write.
const WORDS: &[(&str, &str)] = &[
    ("the mend", "help, or a suggested fix"),
    ("the way out", "help, or a suggested fix"),
    ("time-out", "timeout"),
    ("is born", "is created"),
    ("birth date", "creation time"),
    ("hears", "receives"),
    ("who leaves", "a caller that disconnects"),
];

#[test]
fn no_two_types_have_one_name() {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for module in tree().0.values() {
        for (name, offset) in declared(&module.code) {
            let place = format!("{}:{}", module.file.name, line(&module.code, offset));
            types.entry(name).or_default().push(place);
        }
    }
    let twice = types.into_iter().filter(|(name, places)| {
        places.len() > 1 && !SHARED.iter().any(|(shared, _)| shared == name)
    });
    let faults: Vec<_> = twice
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    none(&faults, "give each a name that says what it is");
}

/// The types that production code declares, with their offsets; not the associated ones.
fn declared(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for keyword in ["struct ", "enum ", "trait ", "union ", "type "] {
        for (offset, _) in code.match_indices(keyword) {
            let before = &code[..offset];
            let inside = before.matches('{').count() > before.matches('}').count();
            if before.ends_with(|it| is_word(it as u8)) || (keyword == "type " && inside) {
                continue;
            }
            let rest = &code[offset + keyword.len()..];
            let name: String = rest.chars().take_while(|it| is_word(*it as u8)).collect();
            if name.starts_with(|first: char| first.is_ascii_uppercase()) {
                found.push((name, offset));
            }
        }
    }
    found
}

#[test]
fn names_of_tests_are_sentences() {
    let faults = files(&["tests"], "rs").into_iter().flat_map(|file| {
        let code = code(&file.text);
        let named: Vec<_> = tests(&code)
            .into_iter()
            .filter(|(name, _)| name.split('_').count() < 3)
            .map(|(name, line)| format!("{}:{line}: {name}", file.name))
            .collect();
        named
    });
    none(
        &faults.collect::<Vec<_>>(),
        "say what is promised: subject and verb, three words at least",
    );
}

/// The functions marked as tests, with their lines.
fn tests(code: &str) -> Vec<(String, usize)> {
    let (mut found, mut marked) = (Vec::new(), false);
    for (number, text) in (1..).zip(code.lines()) {
        marked |= text.contains("#[test]") || text.contains("#[tokio::test");
        if marked && let Some((_, rest)) = text.split_once("fn ") {
            let name = rest.chars().take_while(|it| is_word(*it as u8)).collect();
            found.push((name, number));
            marked = false;
        }
    }
    found
}

#[test]
fn comments_use_the_usual_words() {
    let mut faults = Vec::new();
    for file in files(&["src", "tests", "benches", "fuzz"], "rs") {
        look(&file, &keep(&file.text, Kind::Comment), &mut faults);
    }
    for file in files(&["."], "md") {
        look(&file, &file.text, &mut faults);
    }
    none(&faults, "write the word in brackets");
}

fn look(file: &File, text: &str, faults: &mut Vec<String>) {
    for (number, line) in (1..).zip(text.lines()) {
        for (word, better) in WORDS {
            if line.contains(word) {
                faults.push(format!("{}:{number}: `{word}` ({better})", file.name));
            }
        }
    }
}

#[test]
fn no_function_is_called_get() {
    let faults = tree().0.values().flat_map(|module| {
        let code = &module.code;
        let getters: Vec<_> = code
            .match_indices("fn get_")
            .map(|(offset, _)| format!("{}:{}", module.file.name, line(code, offset)))
            .collect();
        getters
    });
    none(
        &faults.collect::<Vec<_>>(),
        "name it after what it returns, without `get_`",
    );
}
