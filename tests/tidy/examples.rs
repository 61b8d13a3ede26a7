//! Code in the pages for backends is code of the examples, which `docs/examples/check.sh` runs.

use crate::{
    none,
    source::{File, files},
};

/// The page's name of a language, and the extension of its files.
const LANGUAGES: &[(&str, &str)] = &[("js", "mjs"), ("python", "py"), ("go", "go")];

#[test]
fn code_for_backends_stands_in_the_examples() {
    let pages = ["docs/backend.md", "docs/backend/streaming.md"].map(File::read);
    let blocks = pages.iter().flat_map(|page| {
        let blocks = blocks(page).into_iter();
        blocks.map(|(number, language, block)| (format!("{}:{number}", page.name), language, block))
    });
    let (mut found, mut faults) = (0, Vec::new());
    for (place, language, block) in blocks {
        let Some((_, extension)) = LANGUAGES.iter().find(|(name, _)| *name == language) else {
            continue;
        };
        found += 1;
        let examples = files(&["docs/examples"], extension);
        if !examples.iter().any(|file| holds(&file.text, &block)) {
            faults.push(format!("{place}: in no example"));
        }
    }
    assert!(found > 8, "the pages have blocks of code: {found}");
    none(&faults, "copy the lines from a file of docs/examples");
}

/// The fenced blocks of a page: line, language, text.
fn blocks(page: &File) -> Vec<(usize, &str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, &str, Vec<&str>)> = None;
    for (number, line) in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((number, language, Vec::new())),
            (None, None) => {}
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, lines)), None) => lines.push(line),
        }
    }
    blocks
}

/// Whether these lines stand in a text one behind the other, however far to the right.
fn holds(text: &str, block: &[&str]) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let block = dedented(block);
    lines.windows(block.len()).any(|it| dedented(it) == block)
}

fn dedented<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let filled = lines.iter().filter(|line| !line.is_empty());
    let common = filled.map(indent).min().unwrap_or(0);
    let cut = lines.iter().map(|line| line.get(common..).unwrap_or(""));
    cut.collect()
}
