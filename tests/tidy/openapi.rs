//! The OpenAPI document names the errors that `docs/errors.md` names, and the frontend module has a
//! sentence for each.
//!
//! What the document says of requests and responses, `.ci/openapi` tries on a running gateway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    modules::tree,
    none,
    source::{File, is_word, strings},
};

/// Statuses of each code.
type Errors = BTreeMap<String, BTreeSet<u16>>;

fn document() -> Value {
    serde_json::from_str(&File::read("docs/openapi.json").text).unwrap()
}

/// The errors of every operation. Fails if one is not described by status and codes.
fn described(document: &Value) -> Errors {
    let mut errors = Errors::new();
    let operations = document["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    for (status, response) in operations.flat_map(|it| it["responses"].as_object().unwrap()) {
        let status: u16 = status.parse().unwrap();
        if status == 200 {
            continue;
        }
        let pointer = response["$ref"]
            .as_str()
            .and_then(|it| it.strip_prefix('#'));
        let response = document.pointer(pointer.unwrap()).unwrap();
        let schema = &response["content"]["application/problem+json"]["schema"]["allOf"];
        assert_eq!(schema[0]["$ref"], "#/components/schemas/Problem");
        assert_eq!(schema[1]["properties"]["status"]["const"], status);
        for code in texts(&schema[1]["properties"]["code"]["enum"]) {
            errors.entry(code).or_default().insert(status);
        }
    }
    errors
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    let texts = list.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned())
}

/// The rows of the tables of `docs/errors.md`, such as "| 501, 505 `malformed_request` |".
fn documented() -> Errors {
    let mut errors = Errors::new();
    for line in File::read("docs/errors.md").text.lines() {
        let cell = line
            .strip_prefix("| ")
            .and_then(|line| line.split('|').next());
        let Some((statuses, code)) = cell.and_then(|cell| cell.split_once(" `")) else {
            continue;
        };
        let statuses: Vec<u16> = statuses.split(", ").flat_map(str::parse).collect();
        let code = code.split('`').next().unwrap().to_owned();
        if !statuses.is_empty() {
            errors.entry(code).or_default().extend(statuses);
        }
    }
    assert!(errors.len() > 20, "the tables are read");
    errors
}

#[test]
fn the_openapi_document_has_the_errors_of_the_tables_with_their_statuses() {
    let document = document();
    let (described, documented) = (described(&document), documented());
    let codes = described.keys().chain(documented.keys());
    let codes: BTreeSet<&String> = codes.collect();
    let faults = codes.iter().filter_map(|code| {
        let (here, there) = (described.get(*code), documented.get(*code));
        let message = format!("{code}: {here:?} in OpenAPI, {there:?} in docs/errors.md");
        (here != there).then_some(message)
    });
    none(
        &faults.collect::<Vec<_>>(),
        "name the code and its status in both",
    );
    let all: BTreeSet<_> = texts(&document["components"]["schemas"]["ErrorCode"]["enum"]).collect();
    let described: BTreeSet<_> = described.into_keys().collect();
    assert_eq!(
        all, described,
        "the enum `ErrorCode` has the codes of all responses"
    );
}

#[test]
fn every_code_has_its_sentence_in_the_module_and_on_the_page_of_messages() {
    let mut faults = Vec::new();
    for page in ["web/messages.js", "docs/frontend/messages.md"].map(File::read) {
        let words: BTreeSet<&str> = page
            .text
            .split(|c: char| !c.is_ascii() || !is_word(c as u8))
            .collect();
        let missing = documented()
            .into_keys()
            .filter(|code| !words.contains(code.as_str()));
        faults.extend(missing.map(|code| format!("{}: no `{code}`", page.name)));
    }
    none(
        &faults,
        "add the sentence that a person is shown, in both languages",
    );
}

#[test]
fn the_examples_of_errors_say_what_the_program_says() {
    let literals = tree().0.values().flat_map(|it| strings(&it.file.text));
    let literals: Vec<String> = literals.map(|(_, text)| one_line(text)).collect();
    let document = document();
    let responses = document["components"]["responses"].as_object().unwrap();
    let faults = responses.iter().filter_map(|(name, response)| {
        let detail = response["content"]["application/problem+json"]["example"]["detail"].as_str();
        let detail = detail.unwrap_or_default();
        let said = literals.iter().any(|literal| is_made_by(detail, literal));
        (!said).then(|| format!("{name}: {detail}"))
    });
    none(
        &faults.collect::<Vec<_>>(),
        "no error has this `detail`; copy it from the source",
    );
}

/// A literal as it is compiled: a backslash at the end of a line joins it with the next.
fn one_line(literal: &str) -> String {
    let mut lines = literal.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

/// Whether formatting this literal can give this text.
fn is_made_by(text: &str, literal: &str) -> bool {
    match (literal.split_once('{'), literal.rsplit_once('}')) {
        (Some((before, _)), Some((_, after))) => {
            before.len() > 10 && text.starts_with(before) && text.ends_with(after)
        }
        _ => text == literal,
    }
}

#[test]
fn the_openapi_document_has_the_version_of_the_program() {
    let version = &document()["info"]["version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}
