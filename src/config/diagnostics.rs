//! The errors of a configuration, reported all at once: where each is, what is wrong, and a
//! suggested fix.
//!
//! The text that excerpts are taken from is redacted beforehand, so no error can show a secret.

use std::{fmt, io::IsTerminal, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigLocation {
    /// The file as a whole.
    File,
    /// A range of bytes in the file.
    Span(Range<usize>),
    /// An environment variable, by its name.
    Variable(String),
}

/// One error of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct ConfigError {
    pub(super) location: ConfigLocation,
    /// What is wrong.
    pub(super) message: String,
    /// A suggested fix.
    pub(super) help: String,
}

/// All errors of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The name of the file.
    name: String,
    /// The text of the file, redacted.
    text: String,
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// Errors in the order of their locations. `text` must be redacted.
    pub(super) fn new(name: &str, text: String, mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| match &error.location {
            ConfigLocation::File => 0,
            ConfigLocation::Span(span) => span.start,
            ConfigLocation::Variable(_) => usize::MAX,
        });
        Self {
            name: name.into(),
            text,
            errors,
        }
    }

    /// The number of errors.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether there is none, which is never true outside of this module.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The errors for standard error: in colour, if that is a terminal.
    pub fn for_stderr(&self) -> String {
        let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        match coloured {
            true => self.rendered(&Renderer::styled()),
            false => self.to_string(),
        }
    }

    /// The errors for a log, each in one line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|error| {
            let place = match &error.location {
                ConfigLocation::File => self.name.clone(),
                ConfigLocation::Variable(name) => format!("environment variable {name}"),
                ConfigLocation::Span(span) => {
                    let before = self.text.get(..span.start).unwrap_or(&self.text);
                    let line = before.matches('\n').count().saturating_add(1);
                    let column = before.rsplit('\n').next().unwrap_or_default();
                    let column = column.chars().count().saturating_add(1);
                    format!("{}:{line}:{column}", self.name)
                }
            };
            let text = format!("{place}: {}; {}", error.message, error.help);
            text.replace(['\r', '\n'], " ")
        })
    }

    fn rendered(&self, renderer: &Renderer) -> String {
        let errors = self.errors.iter().map(|error| self.group(error));
        let mut text: String = errors
            .map(|group| renderer.render(&[group]) + "\n\n")
            .collect();
        let count = self.errors.len();
        let noun = if count == 1 { "error" } else { "errors" };
        text.push_str(&format!(
            "{}: {count} {noun}; nothing was started",
            self.name
        ));
        text
    }

    fn group<'a>(&'a self, error: &'a ConfigError) -> Group<'a> {
        let title = Level::ERROR.primary_title(&error.message);
        let group = match &error.location {
            ConfigLocation::File => title.element(Origin::path(&self.name)),
            ConfigLocation::Variable(name) => {
                title.element(Origin::path(format!("environment variable {name}")))
            }
            ConfigLocation::Span(span) => title.element(self.excerpt(span)),
        };
        group.element(Level::HELP.message(&error.help))
    }

    /// The first line of the span.
    fn excerpt(&self, span: &Range<usize>) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        let (before, after) = self
            .text
            .split_at_checked(span.start)
            .unwrap_or((&self.text, ""));
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = before.len() + after.find('\n').unwrap_or(after.len());
        let line = self.text.get(start..end).unwrap_or_default();
        let marked = before.len() - start..span.end.clamp(before.len(), end) - start;
        Snippet::source(line)
            .line_start(before.matches('\n').count() + 1)
            .path(&self.name)
            .annotation(AnnotationKind::Primary.span(marked))
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered(&Renderer::plain()))
    }
}

impl std::error::Error for ConfigErrors {}
