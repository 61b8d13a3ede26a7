//! Markdown pages as lists of blocks, with what of a block needs no translation: code, figures and
//! links.
//!
//! Reads the Markdown that this repository writes, not all that there is: headings by `#`, code by
//! fences or four blanks, tables with a `|` at each end, items by `-` or a number.

use crate::source::File;

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BlockKind {
    /// With its level.
    Heading(usize),
    Paragraph,
    Item,
    /// With its column, from 0.
    Cell(usize),
    Code,
}

/// A heading, a paragraph, an item of a list, a cell of a table, or a block of code.
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) kind: BlockKind,
    /// Without its mark; the lines of text are joined by line ends.
    pub(crate) text: String,
}

/// The blocks of a page, in order.
pub(crate) fn blocks(file: &File) -> Vec<Block> {
    let mut reader = Reader::default();
    for (line, text) in file.lines() {
        reader.read(line, text);
    }
    reader.blocks
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    /// The marks of the fence that is open.
    fence: Option<String>,
    /// The last block is text, and its next line may follow.
    is_open: bool,
}

impl Reader {
    fn read(&mut self, line: usize, text: &str) {
        let trimmed = text.trim_start();
        if let Some(fence) = &self.fence {
            if trimmed.starts_with(fence.as_str()) {
                self.fence = None;
            } else {
                self.append(text);
            }
        } else if trimmed.starts_with("```") {
            let marks = trimmed.chars().take_while(|&it| it == '`').count();
            self.fence = Some("`".repeat(marks));
            self.push(line, BlockKind::Code, &trimmed[marks..]);
        } else if trimmed.is_empty() || trimmed.starts_with("<!--") {
            self.is_open = false;
        } else if text.starts_with("    ") && !self.is_open {
            match self.blocks.last_mut() {
                // A first line that is empty, as that of a fence without a language.
                Some(last) if last.kind == BlockKind::Code && last.text.starts_with('\n') => {
                    self.append(text);
                }
                _ => self.push(line, BlockKind::Code, &format!("\n{text}")),
            }
        } else if let Some((level, title)) = heading(text) {
            self.push(line, BlockKind::Heading(level), title);
        } else if let Some(row) = text.strip_prefix('|') {
            if row.trim_matches(['|', '-', ':', ' ']).is_empty() && row.contains('-') {
                return;
            }
            for (column, cell) in cells(row).into_iter().enumerate() {
                self.push(line, BlockKind::Cell(column), cell.trim());
            }
        } else if let Some(item) = item(trimmed) {
            self.push(line, BlockKind::Item, item);
            self.is_open = true;
        } else if self.is_open {
            self.append(trimmed);
        } else {
            self.push(line, BlockKind::Paragraph, trimmed.trim_start_matches("> "));
            self.is_open = true;
        }
    }

    fn push(&mut self, line: usize, kind: BlockKind, text: &str) {
        let text = text.to_owned();
        self.blocks.push(Block { line, kind, text });
        self.is_open = false;
    }

    fn append(&mut self, text: &str) {
        let last = self.blocks.last_mut().unwrap();
        last.text.push('\n');
        last.text.push_str(text);
    }
}

fn heading(text: &str) -> Option<(usize, &str)> {
    let title = text.trim_start_matches('#');
    let level = text.len() - title.len();
    (level > 0 && title.starts_with(' ')).then(|| (level, title.trim()))
}

/// The text of an item, if this begins one.
fn item(text: &str) -> Option<&str> {
    let bullet = text.strip_prefix("- ").or_else(|| text.strip_prefix("* "));
    bullet.or_else(|| {
        let rest = text.trim_start_matches(|it: char| it.is_ascii_digit());
        (rest.len() < text.len()).then(|| rest.strip_prefix(". "))?
    })
}

/// The cells of a row, whose first `|` is gone.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim_end();
    let row = row.strip_suffix('|').unwrap_or(row);
    let (mut cells, mut start) = (Vec::new(), 0);
    for (at, _) in row.match_indices('|') {
        if !row[..at].ends_with('\\') {
            cells.push(&row[start..at]);
            start = at + 1;
        }
    }
    cells.push(&row[start..]);
    cells
}

impl Block {
    /// The code spans, in alphabetical order: word order differs between languages.
    pub(crate) fn code_spans(&self) -> Vec<String> {
        let spans = self.text.split('`').skip(1).step_by(2);
        let mut spans: Vec<String> = spans.map(spaced).collect();
        spans.sort_unstable();
        spans
    }

    /// Where links and images lead, in alphabetical order.
    pub(crate) fn links(&self) -> Vec<String> {
        let plain = self.plain();
        let named = plain.split("](").skip(1).map(|it| until(it, &[')', ' ']));
        let bare = plain.split('<').skip(1).map(|it| until(it, &['>', ' ']));
        let bare = bare.filter(|it| it.contains("://"));
        let mut links: Vec<String> = named.chain(bare).map(str::to_owned).collect();
        links.sort_unstable();
        links
    }

    /// The numbers in the text, outside of code and of addresses.
    pub(crate) fn figures(&self) -> Vec<String> {
        let plain = self.plain();
        let shown = plain.split("](").enumerate().map(|(nth, part)| {
            let start = if nth == 0 {
                0
            } else {
                part.find(')').unwrap_or(0)
            };
            &part[start..]
        });
        let mut figures = Vec::new();
        for part in shown {
            let words = part.split(|it: char| !it.is_ascii_digit() && !matches!(it, '.' | ','));
            let words = words.map(|it| it.trim_matches(['.', ',']));
            figures.extend(words.filter(|it| !it.is_empty()).map(str::to_owned));
        }
        figures
    }

    /// The runs of Chinese characters.
    pub(crate) fn chinese(&self) -> Vec<String> {
        let runs = self.text.split(|it| !is_han(it));
        runs.filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Code without its comments, which may be translated.
    pub(crate) fn code(&self) -> String {
        let lines = self.text.lines().map(|line| {
            let starts = ["# ", "// ", "<!-- "].into_iter().flat_map(|mark| {
                let marks = line.match_indices(mark).map(|(at, _)| at);
                marks.filter(|&at| line[..at].is_empty() || line[..at].ends_with(' '))
            });
            let end = starts.min().unwrap_or(line.len());
            line[..end].trim_end()
        });
        lines
            .filter(|line| !line.is_empty())
            .fold(String::new(), |code, line| code + line + "\n")
    }

    /// The text without its code spans.
    pub(crate) fn plain(&self) -> String {
        self.text.split('`').step_by(2).collect()
    }
}

/// The text with one blank in place of any white space.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn until<'a>(text: &'a str, ends: &[char]) -> &'a str {
    text.split(ends).next().unwrap()
}

/// Whether this is a Chinese character, punctuation not included.
pub(crate) fn is_han(it: char) -> bool {
    matches!(it, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3134f}')
}

/// The columns that a text takes: two for each character of Chinese, its punctuation included.
pub(crate) fn columns(text: &str) -> usize {
    let wide =
        |it: char| is_han(it) || matches!(it, '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff60}');
    text.chars().map(|it| if wide(it) { 2 } else { 1 }).sum()
}
