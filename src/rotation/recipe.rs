//! How a value is made of texts that belong together: at start, and again whenever one of them has changed.

use super::part::{Part, Seen, Source, Trouble};
use crate::secret::Secret;

/// Makes a value of texts, in the order of the parts.
type Make<T> = Box<dyn Fn(&[Secret]) -> Result<T, Fault> + Send + Sync>;

/// How a value is made of its parts.
pub struct Recipe<T> {
    parts: Vec<Part>,
    make: Make<T>,
}

/// What is wrong with one of the parts.
#[derive(Debug)]
pub struct Fault {
    /// Which; what is wrong with all of them together is said of the first.
    pub part: usize,
    /// What, and the way out.
    pub trouble: Trouble,
}

/// All parts, as they are at one time.
pub(super) struct Reading {
    texts: Vec<Result<Secret, Trouble>>,
    pub(super) seen: Vec<Seen>,
}

/// A value in use that is made anew when its files change.
pub struct Watched<T> {
    pub(super) recipe: Recipe<T>,
    /// What the value in use was made of.
    pub(super) seen: Vec<Seen>,
}

impl<T> Recipe<T> {
    /// Of these parts, by this function.
    pub fn new(
        parts: Vec<Part>,
        make: impl Fn(&[Secret]) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            parts,
            make: Box::new(make),
        }
    }

    /// The first value, and what it takes to make it anew; `None`: no part of it is in a file.
    ///
    /// # Errors
    /// What is wrong with each part that is wrong by itself, or with all of them together.
    pub fn begin(self) -> Result<(T, Option<Watched<T>>), Vec<Fault>> {
        let reading = self.read();
        let seen = reading.seen.clone();
        let value = self.make(reading)?;
        let any = self.parts.iter().any(Part::is_file);
        Ok((value, any.then_some(Watched { recipe: self, seen })))
    }

    pub(super) fn read(&self) -> Reading {
        let (seen, texts) = self.parts.iter().map(Part::look).unzip();
        Reading { texts, seen }
    }

    pub(super) fn make(&self, reading: Reading) -> Result<T, Vec<Fault>> {
        let faults = reading.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let texts: Vec<_> = reading.texts.into_iter().flatten().collect();
        (self.make)(&texts).map_err(|fault| vec![fault])
    }

    /// The keys of the parts that are in files.
    pub(super) fn keys(&self) -> String {
        let files = self.parts.iter().filter(|part| part.is_file());
        let keys: Vec<_> = files.map(|part| part.key.as_str()).collect();
        keys.join(", ")
    }

    /// Of each part, whether it is in a file.
    pub(super) fn are_files(&self) -> impl Iterator<Item = bool> {
        self.parts.iter().map(Part::is_file)
    }

    /// The key and the file of a part; of one that is in no file, those of the first that is: that is where the change was.
    pub(super) fn named(&self, part: usize) -> (&str, String) {
        let chosen = self.parts.get(part).filter(|part| part.is_file());
        let part = chosen.or_else(|| self.parts.iter().find(|part| part.is_file()));
        match part.map(|part| (&part.key, &part.source)) {
            Some((key, Source::File(path, _))) => (key, path.display().to_string()),
            _ => ("", String::new()),
        }
    }
}

impl Reading {
    /// What is wrong with each part by itself.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let faulty = |(part, text): (usize, &Result<Secret, Trouble>)| {
            let trouble = text.as_ref().err()?.clone();
            Some(Fault { part, trouble })
        };
        self.texts.iter().enumerate().filter_map(faulty).collect()
    }
}

impl Fault {
    /// With this part.
    pub fn of(part: usize, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            part,
            trouble: Trouble::new(message, mend),
        }
    }

    /// For a recipe that is called with other parts than it has, which never happens.
    pub fn miscounted() -> Self {
        Self::of(
            0,
            "the parts are not those of the recipe",
            "report this bug",
        )
    }
}
