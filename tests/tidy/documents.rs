//! What the documents say of error codes and of each other.

use std::{collections::BTreeSet, path::Path};

use crate::{
    modules::tree,
    none,
    source::{File, files, root, strings},
};

/// Files that turn rejections into codes: those of this path, and the functions `code` of all
/// others.
const REFUSALS: &[&str] = &["src/relay/refusal", "src/server/head_refusal"];
/// Texts that look like a code in the files that turn rejections into codes.
fn codes() -> BTreeSet<&'static str> {
    let mut codes = BTreeSet::new();
    for module in tree().0.values() {
        let (code, name) = (&module.code, &module.file.name);
        let range = if REFUSALS.iter().any(|path| name.starts_with(path)) {
            // Tests come last.
            0..code.trim_end().len()
        } else if let Some(start) = code.find("fn code(&self)") {
            start..start + code[start..].find("\n    }").unwrap()
        } else {
            continue;
        };
        let found = strings(&module.file.text).into_iter();
        let found = found.filter(|(at, text)| range.contains(at) && is_code(text));
        codes.extend(found.map(|(_, text)| text));
    }
    assert!(codes.len() > 20, "codes are found: {codes:?}");
    codes
}

fn is_code(text: &str) -> bool {
    let small = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    text.contains('_') && text.bytes().all(small)
}

#[test]
fn every_error_code_is_documented_and_every_documented_one_exists() {
    let codes = codes();
    let literals = tree().0.values().flat_map(|it| strings(&it.file.text));
    let literals: BTreeSet<&str> = literals.map(|(_, text)| text).collect();
    let mut faults = Vec::new();
    for page in ["docs/errors.md", "docs/zh/errors.md"].map(File::read) {
        let name = &page.name;
        let rows = page.text.lines().filter_map(|line| {
            let cell = line.strip_prefix("| ")?.split('|').next()?;
            let (status, code) = cell.split_once(" `")?;
            // Several are listed, such as `501, 505`.
            status.split([',', '、']).next()?.parse::<u16>().ok()?;
            code.split('`').next()
        });
        let documented: BTreeSet<&str> = rows.collect();
        let missing = codes.difference(&documented);
        faults.extend(missing.map(|code| format!("`{code}` has no row in {name}")));
        // One of a single word can't be told from other texts, but it must be somewhere.
        let unknown = documented.difference(&literals);
        faults.extend(unknown.map(|code| format!("{name}: no error has the code `{code}`")));
    }
    none(&faults, "a table row begins with `| status `code` |`");
}

/// Where the words of reasons stand: whole files, and functions of others by how they begin.
const REASONS: &[(&str, &str)] = &[
    ("src/relay/reason.rs", ""),
    ("src/relay/reason_of.rs", ""),
    ("", "fn reason("),
    ("src/media/mod.rs", "fn name("),
    ("src/telemetry/metrics/labels.rs", "pub enum AuthReason"),
    (
        "src/telemetry/metrics/labels.rs",
        "pub enum UpstreamOutcome",
    ),
];
/// Outcomes of calls that are no failures.
const NO_REASONS: &[&str] = &["success", "qiniu_error"];

/// The reasons that access records can have, and what they can be about.
fn reasons() -> BTreeSet<&'static str> {
    let mut reasons = BTreeSet::new();
    for module in tree().0.values() {
        let (code, name) = (&module.code, &module.file.name);
        for (path, function) in REASONS {
            let is_there = path.is_empty() || name == path;
            for (start, _) in code.match_indices(function).filter(|_| is_there) {
                // The end of a function is indented as its beginning.
                let line = code[..start].rfind('\n').map_or(0, |at| at + 1);
                let indent = code[line..].len() - code[line..].trim_start().len();
                let end = format!("\n{}}}", " ".repeat(indent));
                let length = code[start..].find(&end).filter(|_| !function.is_empty());
                let range = start..length.map_or(code.trim_end().len(), |it| start + it);
                let found = strings(&module.file.text).into_iter();
                let found = found.filter(|(at, text)| range.contains(at) && is_word(text));
                let found = found.map(|(_, text)| text);
                reasons.extend(found.filter(|text| !NO_REASONS.contains(text)));
                if function.is_empty() {
                    break;
                }
            }
        }
    }
    assert!(reasons.len() > 50, "reasons are found: {reasons:?}");
    reasons
}

fn is_word(text: &str) -> bool {
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(small)
}

#[test]
fn every_reason_is_documented_and_every_documented_one_exists() {
    let page = File::read("docs/troubleshooting.md");
    let section = page.text.split("\n## Reasons\n").nth(1).unwrap();
    let spans = |text: &'static str| text.split('`').skip(1).step_by(2);
    let text: &'static str = section.to_owned().leak();
    let documented: BTreeSet<&str> = spans(text).collect();
    let reasons = reasons();
    let missing = reasons.difference(&documented);
    let missing = missing.map(|word| format!("`{word}` is not in docs/troubleshooting.md"));
    let literals = tree().0.values().flat_map(|it| strings(&it.file.text));
    let literals: BTreeSet<&str> = literals.map(|(_, text)| text).collect();
    let cells = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('|').nth(1));
    let unknown = cells
        .flat_map(spans)
        .filter(|word| !literals.contains(word));
    let unknown = unknown.map(|word| format!("docs/troubleshooting.md: no reason is `{word}`"));
    none(
        &missing.chain(unknown).collect::<Vec<_>>(),
        "the table `Reasons` has each word in the row of its code",
    );
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let mut faults = Vec::new();
    for file in files(&["."], "md") {
        for (number, target) in links(&file) {
            if let Some(fault) = broken(&file, &target) {
                faults.push(format!("{}:{number}: {target}: {fault}", file.name));
            }
        }
    }
    none(&faults, "correct the link, or the heading");
}

/// The relative links of a page, with their lines; code is left out.
fn links(file: &File) -> Vec<(usize, String)> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for (number, line) in file.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced || line.starts_with("    ") {
            continue;
        }
        let plain: String = line.split('`').step_by(2).collect();
        for part in plain.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

/// What is wrong with a link, if anything is.
fn broken(file: &File, target: &str) -> Option<&'static str> {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let folder = Path::new(&file.name).parent().unwrap();
    let path = match path {
        "" => Path::new(&file.name).to_owned(),
        path => folder.join(path),
    };
    if !root().join(&path).exists() {
        return Some("there is no such file");
    }
    let anchor = anchor?;
    let page = File::read(path.to_str().unwrap());
    let is_there = anchors(&page).contains(&anchor.to_owned());
    (!is_there).then_some("that page has no such heading")
}

/// The anchors that GitHub makes of a page's headings.
pub(crate) fn anchors(page: &File) -> Vec<String> {
    let (mut anchors, mut fenced): (Vec<String>, _) = (Vec::new(), false);
    for (_, line) in page.lines() {
        fenced ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || !line.starts_with('#') || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter_map(|it| match it {
            ' ' | '-' => Some('-'),
            it if it.is_alphanumeric() || it == '_' => Some(it.to_ascii_lowercase()),
            _ => None,
        });
        let anchor: String = kept.collect();
        let twins = anchors.iter().filter(|it| **it == anchor).count();
        anchors.push(match twins {
            0 => anchor,
            twins => format!("{anchor}-{twins}"),
        });
    }
    anchors
}

#[test]
fn every_test_that_a_page_names_exists() {
    let sources = files(&["src", "tests"], "rs");
    let mut faults = Vec::new();
    for page in ["docs/threat-model.md", "docs/privacy.md"].map(File::read) {
        for (number, line) in page.lines() {
            let spans = line.split('`').skip(1).step_by(2);
            // Settings and metrics have shorter names.
            for name in spans.filter(|span| is_code(span) && span.matches('_').count() > 3) {
                let function = format!("fn {name}(");
                if !sources.iter().any(|file| file.text.contains(&function)) {
                    faults.push(format!(
                        "{}:{number}: no test is called `{name}`",
                        page.name
                    ));
                }
            }
        }
    }
    none(&faults, "correct the name, or the page");
}
