//! The memory of another process, searched for texts that must not be there.
//!
//! A text is found if sixteen bytes of it in a row are: words of the memory are looked up among
//! all words of the texts, wherever they begin.

use std::{collections::HashMap, fmt, fs::File, os::unix::fs::FileExt, path::Path};

const WORD: usize = 8;
/// Shortest part of a text that counts as found, in bytes.
const SHORTEST: usize = 2 * WORD;
/// Of a large text, this many bytes are looked for at the begin of each step.
const PROBE: usize = 48;
const STEP: usize = 2048;
/// Bits of the filter before the table.
const FILTER: usize = 1 << 22;

/// Texts to look for.
pub(crate) struct Texts {
    texts: Vec<(String, Vec<u8>)>,
    /// Where each word is: the number of its text, and its offset.
    words: HashMap<u64, (usize, usize)>,
    filter: Vec<bool>,
}

/// A part of a text in the memory.
pub(crate) struct Found {
    /// Which text.
    pub(crate) name: String,
    /// The part.
    pub(crate) part: Vec<u8>,
    /// What lies before it.
    pub(crate) before: Vec<u8>,
    /// Name of the region and offset in it.
    pub(crate) place: String,
}

/// A part of the memory of a process.
pub(crate) struct Region {
    name: String,
    bytes: Vec<u8>,
}

impl Region {
    pub(crate) fn new(name: &str, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
        }
    }
}

impl Texts {
    pub(crate) fn new() -> Self {
        Self {
            texts: Vec::new(),
            words: HashMap::new(),
            filter: vec![false; FILTER],
        }
    }

    /// Looks for each part of this text.
    pub(crate) fn add(&mut self, name: &str, text: impl Into<Vec<u8>>) {
        let text = text.into();
        let probe = text.len();
        self.add_probes(name, text, probe);
    }

    /// Looks for parts of this large text that are longer than [`STEP`].
    pub(crate) fn add_large(&mut self, name: &str, text: impl Into<Vec<u8>>) {
        self.add_probes(name, text.into(), PROBE);
    }

    fn add_probes(&mut self, name: &str, text: Vec<u8>, probe: usize) {
        let number = self.texts.len();
        for step in (0..text.len()).step_by(STEP.max(probe)) {
            let end = text.len().min(step + probe);
            for (at, word) in text[step..end].windows(WORD).enumerate() {
                let word = u64::from_ne_bytes(word.try_into().unwrap());
                self.words.insert(word, (number, step + at));
                self.filter[slot(word)] = true;
            }
        }
        self.texts.push((name.to_owned(), text));
    }

    /// All parts in these regions, each once.
    pub(crate) fn found_in(&self, regions: &[Region]) -> Vec<Found> {
        let all = regions.iter().map(|region| self.found_in_one(region));
        all.flatten().collect()
    }

    fn found_in_one(&self, region: &Region) -> Vec<Found> {
        let mut found = Vec::new();
        let mut next = 0;
        let (words, _) = region.bytes.as_chunks::<WORD>();
        for (number, word) in words.iter().enumerate() {
            let word = u64::from_ne_bytes(*word);
            if word == 0 || !self.filter[slot(word)] || number * WORD < next {
                continue;
            }
            let Some(&(text, at)) = self.words.get(&word) else {
                continue;
            };
            let (name, text) = &self.texts[text];
            let here = number * WORD;
            let backward = common(text[..at].iter().rev(), region.bytes[..here].iter().rev());
            let forward = common(text[at..].iter(), region.bytes[here..].iter());
            if backward + forward < SHORTEST {
                continue;
            }
            let (begin, end) = (here - backward, here + forward);
            next = end;
            found.push(Found {
                name: name.clone(),
                part: region.bytes[begin..end].to_vec(),
                before: region.bytes[begin.saturating_sub(2048)..begin].to_vec(),
                place: format!("{} + {begin:#x}", region.name),
            });
        }
        found
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near = self.before.len().saturating_sub(120);
        let (before, part) = (self.before[near..].escape_ascii(), self.part.escape_ascii());
        let part = part.to_string();
        let part = part.get(..160).unwrap_or(&part);
        let length = self.part.len();
        write!(
            f,
            "{length} bytes of {} at {}: {before}>>>{part}",
            self.name, self.place
        )
    }
}

fn slot(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 42) as usize % FILTER
}

fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}

/// All memory that the process `id` may write to: its heap, its stacks, its variables. `None` if
/// this process may not read it.
pub(crate) fn of_process(id: u32) -> Option<Vec<Region>> {
    let memory = File::open(format!("/proc/{id}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).ok()?;
    let writable = maps.lines().filter(|line| line.contains(" rw"));
    let regions: Vec<_> = writable.filter_map(|line| region(&memory, line)).collect();
    (!regions.is_empty()).then_some(regions)
}

/// A line is `7f00-7f10 rw-p 00000000 00:00 0    [stack]` (proc_pid_maps(5)).
fn region(memory: &File, line: &str) -> Option<Region> {
    let (range, _) = line.split_once(' ')?;
    let (begin, end) = range.split_once('-')?;
    let begin = u64::from_str_radix(begin, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let mut bytes = vec![0; usize::try_from(end - begin).ok()?];
    memory.read_exact_at(&mut bytes, begin).ok()?;
    Some(Region::new(line, bytes))
}

/// A file as one region.
pub(crate) fn of_file(path: &Path) -> Vec<Region> {
    let bytes = std::fs::read(path).unwrap();
    vec![Region::new(&path.display().to_string(), bytes)]
}
