//! Pages in two languages: the Chinese page says what the English one says.
//!
//! No test reads both languages. This one compares what needs no translation: the order of
//! headings, paragraphs, items, cells and code, and in each of them code, figures and links.

use std::path::{Component, Path, PathBuf};

use crate::{
    documents::anchors,
    markdown::{Block, BlockKind, blocks},
    none,
    source::{File, files, root},
};

/// A page and its translation.
pub(crate) struct Pair {
    english: &'static str,
    pub(crate) chinese: &'static str,
    /// The headings at which the translated part ends: the page continues in English only, and its
    /// translation with a list of what is there.
    until: Option<(&'static str, &'static str)>,
}

pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        english: "README.md",
        chinese: "README.zh-CN.md",
        until: None,
    },
    Pair {
        english: "docs/getting-started.md",
        chinese: "docs/zh/getting-started.md",
        until: None,
    },
    Pair {
        english: "docs/errors.md",
        chinese: "docs/zh/errors.md",
        until: None,
    },
    Pair {
        english: "docs/frontend.md",
        chinese: "docs/zh/frontend.md",
        until: None,
    },
    Pair {
        english: "docs/frontend/web.md",
        chinese: "docs/zh/frontend/web.md",
        until: None,
    },
    Pair {
        english: "docs/frontend/wechat.md",
        chinese: "docs/zh/frontend/wechat.md",
        until: None,
    },
    Pair {
        english: "docs/configuration.md",
        chinese: "docs/zh/configuration.md",
        until: Some(("[server]", "各配置节")),
    },
];

/// Pages of docs/zh that are translations of nothing.
pub(crate) const ALONE: &[&str] = &["docs/zh/glossary.md"];

const HELP: &str = "say the same in both languages (CONTRIBUTING.md, \"Chinese pages\")";

/// A page in one of its languages.
struct Page {
    file: File,
    /// Those of the translated part.
    blocks: Vec<Block>,
    /// The anchors of the headings of the translated part, in order.
    anchors: Vec<String>,
    /// The blocks behind it.
    rest: Vec<Block>,
}

impl Page {
    fn read(name: &str, until: Option<&str>) -> Self {
        let file = File::read(name);
        let mut all = blocks(&file);
        let end = until.map_or(all.len(), |title| {
            let end = all.iter().position(|it| is_heading(it) && it.text == title);
            end.unwrap_or_else(|| panic!("{name} has no heading `{title}`"))
        });
        let rest = all.split_off(end);
        let mut anchors = anchors(&file);
        anchors.truncate(all.iter().filter(|it| is_heading(it)).count());
        Self {
            file,
            blocks: all,
            anchors,
            rest,
        }
    }

    /// Where a link of this page leads, from the root of the repository.
    fn resolve(&self, link: &str) -> String {
        if link.contains("://") || link.starts_with("mailto:") {
            return link.to_owned();
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let name = Path::new(&self.file.name);
        let path = match path {
            "" => name.to_owned(),
            path => plain(&name.parent().unwrap().join(path)),
        };
        match anchor {
            "" => path.display().to_string(),
            anchor => format!("{}#{anchor}", path.display()),
        }
    }
}

fn is_heading(block: &Block) -> bool {
    matches!(block.kind, BlockKind::Heading(_))
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leads out", path.display()),
            part => plain.push(part),
        }
    }
    plain
}

/// All pairs, in both languages.
fn pages() -> Vec<(Page, Page)> {
    let read = |pair: &Pair| {
        let english = Page::read(pair.english, pair.until.map(|it| it.0));
        (english, Page::read(pair.chinese, pair.until.map(|it| it.1)))
    };
    PAIRS.iter().map(read).collect()
}

#[test]
fn a_chinese_page_has_the_structure_and_the_code_of_the_english_one() {
    let pages = pages();
    let faults = pages.iter().filter_map(|(english, chinese)| {
        let pairs = english.blocks.iter().zip(&chinese.blocks).enumerate();
        // The first one only: behind it all may have moved.
        let found = pairs
            .filter(|(nth, _)| *nth != 1)
            .find_map(|(_, (one, other))| {
                Some((
                    one,
                    other,
                    difference(&pages, english, chinese, one, other)?,
                ))
            });
        if let Some((one, other, difference)) = found {
            let (at, from) = (&chinese.file.name, &english.file.name);
            return Some(format!(
                "{at}:{}: not as {from}:{}: {difference}",
                other.line, one.line
            ));
        }
        let (many, few) = (english.blocks.len(), chinese.blocks.len());
        (many != few).then(|| {
            let (longer, shorter) = if many > few {
                (english, chinese)
            } else {
                (chinese, english)
            };
            let line = longer.blocks[many.min(few)].line;
            format!(
                "{}:{line}: {} ends before this",
                longer.file.name, shorter.file.name
            )
        })
    });
    none(&faults.collect::<Vec<_>>(), HELP);
}

/// What a block and its translation differ in, if in anything.
fn difference(
    pages: &[(Page, Page)],
    english: &Page,
    chinese: &Page,
    one: &Block,
    other: &Block,
) -> Option<String> {
    if one.kind != other.kind {
        return Some(format!("{:?} in place of {:?}", other.kind, one.kind));
    }
    if one.kind == BlockKind::Code {
        let (one, other) = (one.code(), other.code());
        let mut lines = one.lines().chain([""]).zip(other.lines().chain([""]));
        let line = lines.find(|(one, other)| one != other);
        return line.map(|(one, other)| format!("the code `{other}` in place of `{one}`"));
    }
    let (theirs, ours) = (one.code_spans(), other.code_spans());
    if theirs != ours {
        return Some(format!("the code spans {ours:?} in place of {theirs:?}"));
    }
    let translate = |it: &String| translated(pages, &english.resolve(it));
    let mut theirs: Vec<String> = one.links().iter().map(translate).collect();
    let mut ours: Vec<String> = other.links().iter().map(|it| chinese.resolve(it)).collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    if theirs != ours {
        return Some(format!("links to {ours:?} in place of {theirs:?}"));
    }
    // A figure of the translation may be a word in English.
    let mut left = other.figures();
    for figure in one.figures() {
        match left.iter().position(|it| *it == figure) {
            Some(at) => drop(left.swap_remove(at)),
            None => return Some(format!("the figure {figure} is missing")),
        }
    }
    // What is quoted in Chinese, such as a sentence to show to people.
    let quoted = one.chinese();
    let missing = quoted.iter().find(|it| !other.text.contains(it.as_str()))?;
    Some(format!("`{missing}` is missing"))
}

/// Where the translation of a link leads: to the Chinese page, if there is one of that part.
fn translated(pages: &[(Page, Page)], target: &str) -> String {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let pair = pages.iter().find(|(english, _)| english.file.name == path);
    let Some((english, chinese)) = pair else {
        return translated_picture(target);
    };
    if anchor.is_empty() {
        return chinese.file.name.clone();
    }
    let heading = english.anchors.iter().position(|it| it == anchor);
    match heading.and_then(|nth| chinese.anchors.get(nth)) {
        Some(anchor) => format!("{}#{anchor}", chinese.file.name),
        None => target.to_owned(),
    }
}

/// A picture's Chinese one beside it, such as `page.zh-CN.webp`, if there is one.
fn translated_picture(target: &str) -> String {
    let chinese = target.replace(".webp", ".zh-CN.webp");
    let exists = root().join(&chinese).is_file();
    if exists { chinese } else { target.to_owned() }
}

#[test]
fn a_page_that_is_translated_in_part_lists_the_headings_of_the_rest() {
    let mut faults = Vec::new();
    for (english, chinese) in pages() {
        let titles = english
            .rest
            .iter()
            .filter(|it| it.kind == BlockKind::Heading(2));
        let titles: Vec<&str> = titles.map(|it| it.text.as_str()).collect();
        let rows = chinese
            .rest
            .iter()
            .filter(|it| it.kind == BlockKind::Cell(0));
        // The head of the table names no section.
        let rows = rows.filter_map(|it| it.text.split('`').nth(1).or_else(|| title(&it.text)));
        let rows: Vec<&str> = rows.collect();
        if rows != titles {
            faults.push(format!("{}: {rows:?}, not {titles:?}", chinese.file.name));
        }
    }
    none(
        &faults,
        "list the sections of the English page, in its order",
    );
}

/// The text of a link that is a whole cell.
fn title(cell: &str) -> Option<&str> {
    cell.strip_prefix('[')?.split("](").next()
}

#[test]
fn pages_in_two_languages_lead_to_each_other() {
    let mut faults = Vec::new();
    for (english, chinese) in pages() {
        let sides = [
            (&english, "English | [简体中文](", ")", &chinese),
            (&chinese, "[English](", ") | 简体中文", &english),
        ];
        for (page, before, after, other) in sides {
            let first = page.blocks.get(1).map_or("", |it| it.text.as_str());
            let link = first
                .strip_prefix(before)
                .and_then(|it| it.strip_suffix(after));
            if link.map(|link| page.resolve(link)).as_deref() != Some(&other.file.name) {
                let name = &page.file.name;
                faults.push(format!("{name}: `{first}`, not `{before}…{after}`"));
            }
        }
    }
    none(
        &faults,
        "write the line below the title, with the path of the other page",
    );
}

#[test]
fn every_chinese_page_is_compared_with_an_english_one() {
    let known = |name: &str| ALONE.contains(&name) || PAIRS.iter().any(|it| it.chinese == name);
    let unknown = files(&["."], "md").into_iter().filter_map(|file| {
        let is_chinese = file.name.starts_with("docs/zh/") || file.name.ends_with(".zh-CN.md");
        (is_chinese && !known(&file.name)).then_some(file.name)
    });
    none(
        &unknown.collect::<Vec<_>>(),
        "add it to `PAIRS` in tests/tidy/translations.rs",
    );
}
