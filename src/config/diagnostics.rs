//! Mistakes in a configuration, all of them at once: where each is, what it is, and the way out. A secret's value is
//! never in one.

use std::{fmt, ops::Range};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigLocation {
    /// A part of the file.
    File(Range<usize>),
    /// A part of the file that may hold a secret, by mistake: it is marked, but never shown.
    Hidden(Range<usize>),
    /// An environment variable.
    Variable(String),
}

impl ConfigLocation {
    /// The same place, not to be shown.
    pub(super) fn hidden(self) -> Self {
        match self {
            Self::File(span) => Self::Hidden(span),
            other => other,
        }
    }
}

/// One mistake.
#[derive(Clone, Debug)]
pub(super) struct ConfigError {
    pub(super) place: ConfigLocation,
    pub(super) message: String,
    pub(super) help: String,
}

/// All errors of a configuration.
#[derive(Debug)]
pub struct ConfigErrors {
    name: String,
    /// The file's text, with stars for what is hidden.
    text: String,
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn new(name: &str, text: &str, mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|mistake| match &mistake.place {
            ConfigLocation::File(span) | ConfigLocation::Hidden(span) => span.start,
            ConfigLocation::Variable(_) => usize::MAX,
        });
        Self {
            name: name.into(),
            text: without_hidden(text, &errors),
            errors,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Never, in a report that was given out.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, mistake: &ConfigError) -> fmt::Result {
        writeln!(f, "error: {}", mistake.message)?;
        match &mistake.place {
            ConfigLocation::Variable(name) => writeln!(f, "  --> environment variable {name}")?,
            ConfigLocation::File(span) | ConfigLocation::Hidden(span) => {
                let start = span.start.min(self.text.len());
                let before = self.text.get(..start).unwrap_or_default();
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let number = before.matches('\n').count() + 1;
                let line = self
                    .text
                    .get(line_start..)
                    .unwrap_or_default()
                    .lines()
                    .next()
                    .unwrap_or_default();
                let column = before.get(line_start..).unwrap_or_default().chars().count();
                let rest = line.chars().count().saturating_sub(column);
                let marked = self.text.get(span.clone()).map_or(1, |part| {
                    part.lines().next().unwrap_or_default().chars().count()
                });
                let width = number.to_string().len();
                writeln!(f, "{:width$}--> {}:{number}:{}", "", self.name, column + 1)?;
                writeln!(f, "{number} | {line}")?;
                writeln!(
                    f,
                    "{:width$} | {:column$}{}",
                    "",
                    "",
                    "^".repeat(marked.min(rest).max(1))
                )?;
            }
        }
        writeln!(f, "  help: {}", mistake.help)
    }
}

/// Another mistake may stand on the line of a hidden one, so what is hidden is gone from the whole text.
fn without_hidden(text: &str, errors: &[ConfigError]) -> String {
    let hidden = |at: usize| {
        errors.iter().any(|mistake| match &mistake.place {
            ConfigLocation::Hidden(span) => span.contains(&at),
            _ => false,
        })
    };
    // A star for each byte, so that places stay where they are.
    text.char_indices()
        .flat_map(|(at, letter)| {
            let (shown, count) = match letter {
                '\n' | '\r' => (letter, 1),
                _ if hidden(at) => ('*', letter.len_utf8()),
                _ => (letter, 1),
            };
            std::iter::repeat_n(shown, count)
        })
        .collect()
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.errors {
            self.show(f, mistake)?;
            writeln!(f)?;
        }
        let count = self.errors.len();
        write!(
            f,
            "{}: {count} {}; nothing was started",
            self.name,
            if count == 1 { "error" } else { "errors" }
        )
    }
}
