//! How Chinese is written here, in pages and in the texts that people are shown.
//!
//! The rules are those of `docs/zh/glossary.md`. Words are not checked.

use crate::{
    markdown::{BlockKind, blocks, is_han},
    none,
    source::{File, files},
    translations::{ALONE, PAIRS},
};

/// Kinds of files that hold Chinese text.
const KINDS: &[&str] = &["md", "js", "ts", "html"];

#[test]
fn lines_of_chinese_break_where_a_blank_may_stand() {
    let mut faults = Vec::new();
    for file in files(&["."], "md") {
        for block in blocks(&file).iter().filter(|it| it.kind != BlockKind::Code) {
            let lines: Vec<&str> = block.text.lines().collect();
            for (nth, pair) in lines.windows(2).enumerate() {
                let ends = pair[0]
                    .trim_end_matches(['*', ')', ']'])
                    .chars()
                    .next_back();
                let begins = pair[1].trim_start_matches(['*', '[']).chars().next();
                if ends.is_some_and(is_han) && begins.is_some_and(is_han) {
                    faults.push(format!("{}:{}", file.name, block.line + nth));
                }
            }
        }
    }
    none(
        &faults,
        "break behind a punctuation mark: browsers show a line end as a blank",
    );
}

#[test]
fn chinese_text_has_full_width_punctuation() {
    let texts = KINDS.iter().flat_map(|kind| files(&["."], kind));
    let faults = neighbours(texts, |one, other| {
        is_han(one) && matches!(other, ',' | ';' | ':' | '!' | '?' | '(')
    });
    none(
        &faults,
        "write \u{ff0c} \u{ff1b} \u{ff1a} \u{ff01} \u{ff1f} \u{ff08}",
    );
}

#[test]
fn chinese_pages_have_blanks_beside_other_scripts_only() {
    let names = PAIRS
        .iter()
        .map(|it| it.chinese)
        .chain(ALONE.iter().copied());
    let faults = neighbours(names.map(prose), |one, other| {
        let is_other = |it: char| it.is_ascii_alphanumeric() || it == '`';
        let lacks = is_han(one) && is_other(other) || is_other(one) && is_han(other);
        lacks || is_mark(one) && other == ' ' || one == ' ' && is_mark(other)
    });
    none(
        &faults,
        "a blank between Chinese and letters, digits or code; none beside a mark",
    );
}

/// A page without its fenced code, in which texts may stand in quotes.
fn prose(name: &str) -> File {
    let mut page = File::read(name);
    let mut is_fenced = false;
    let lines = page.text.lines().map(|line| {
        is_fenced ^= line.trim_start().starts_with("```");
        if is_fenced { "" } else { line }
    });
    page.text = lines.collect::<Vec<_>>().join("\n");
    page
}

/// Punctuation that has its own space.
fn is_mark(it: char) -> bool {
    "\u{3001}\u{3002}\u{ff08}\u{ff09}\u{ff0c}\u{ff1a}\u{ff1b}\u{ff01}\u{ff1f}".contains(it)
}

/// Where two characters that stand side by side are wrong.
fn neighbours(
    files: impl Iterator<Item = File>,
    is_wrong: impl Fn(char, char) -> bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for (number, line) in file.lines() {
            // Cells have blanks at their ends, items at their beginning.
            let line = line.replace(" |", "|").replace("| ", "|");
            let line = line.trim();
            let pairs = line.chars().zip(line.chars().skip(1));
            let mut wrong = pairs.filter(|(one, other)| is_wrong(*one, *other));
            let found = wrong.next();
            faults.extend(
                found.map(|(one, other)| format!("{}:{number}: `{one}{other}`", file.name)),
            );
        }
    }
    faults
}
