//! Files: their length, their heads, the width of their lines.

use crate::{
    markdown::columns,
    none,
    source::{File, Kind, files, keep, kinds},
};

const RUST: &[&str] = &["src", "tests", "benches", "fuzz"];
const MOST_LINES: usize = 350;
const MOST_COLUMNS: usize = 100;

#[test]
fn no_rust_file_is_longer_than_350_lines() {
    let long = files(RUST, "rs").into_iter().filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > MOST_LINES).then(|| format!("{}: {lines} lines", file.name))
    });
    none(
        &long.collect::<Vec<_>>(),
        "move one subject to a file of its own",
    );
}

#[test]
fn each_rust_file_begins_with_a_head() {
    let headless = files(RUST, "rs").into_iter().filter_map(|file| {
        let head = file.text.lines().next().unwrap_or_default();
        (!head.starts_with("//! ")).then_some(file.name)
    });
    none(
        &headless.collect::<Vec<_>>(),
        "begin with `//!`: what the file is for, what it relies on, what it never does",
    );
}

#[test]
fn lines_of_rust_have_at_most_100_columns() {
    let wide = files(RUST, "rs").into_iter().flat_map(|file| {
        let texts = strings(&file);
        let wide = wide(&file, |number, line| {
            // A string stands as it is; a table's row and an address can't be broken.
            let comment = line.trim_start().trim_start_matches(['/', '!']);
            texts.contains(&number) || comment.starts_with(" |") || line.contains("://")
        });
        wide.collect::<Vec<_>>()
    });
    none(&wide.collect::<Vec<_>>(), "break the line");
}

#[test]
fn lines_of_markdown_have_at_most_100_columns() {
    let mut faults = Vec::new();
    for file in files(&["."], "md") {
        let mut fenced = false;
        let wide: Vec<_> = wide(&file, |_, line| {
            fenced ^= line.trim_start().starts_with("```");
            // Tables, commands and examples, and addresses can't be broken.
            fenced || line.starts_with(['|', '\t']) || line.starts_with("    ") || has_link(line)
        })
        .collect();
        faults.extend(wide);
    }
    none(&faults, "break the line");
}

fn has_link(line: &str) -> bool {
    line.contains("](") || line.contains("://")
}

fn wide(file: &File, mut may_be: impl FnMut(usize, &str) -> bool) -> impl Iterator<Item = String> {
    file.lines().filter_map(move |(number, line)| {
        let columns = columns(line);
        let exempt = may_be(number, line);
        (columns > MOST_COLUMNS && !exempt)
            .then(|| format!("{}:{number}: {columns} columns", file.name))
    })
}

/// The numbers of the lines that hold some of a string.
fn strings(file: &File) -> Vec<usize> {
    debug_assert_eq!(kinds(&file.text).len(), file.text.len());
    let texts = keep(&file.text, Kind::Text);
    let held = (1..)
        .zip(texts.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    held.map(|(number, _)| number).collect()
}
