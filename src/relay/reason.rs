//! The reason of a refusal, as the access record says it: one word of a closed set.
//!
//! It is finer than the error code, which the caller gets. Where a metric counts the same thing,
//! its label is the same word. Behind a word stands at most the name of a member, a claim or a
//! header field that the gateway itself knows: never anything that a request sent.
//! `docs/troubleshooting.md` lists all words.

use std::borrow::Cow;

/// The reason of a refusal: a word, and what it is about, where there are several of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalReason {
    word: &'static str,
    about: Option<&'static str>,
}

impl RefusalReason {
    /// A head that hyper can't read.
    pub const SYNTAX: Self = Self::new("syntax");
    /// A trusted proxy's connection without a valid PROXY header.
    pub const PROXY_HEADER: Self = Self::new("proxy_header");

    /// A word alone.
    pub const fn new(word: &'static str) -> Self {
        Self { word, about: None }
    }

    /// A word, and the name that it is about.
    pub const fn about(word: &'static str, name: &'static str) -> Self {
        Self {
            word,
            about: Some(name),
        }
    }

    /// The word, from a closed set.
    pub fn word(self) -> &'static str {
        self.word
    }

    /// `word`, or `word:name`.
    pub fn text(self) -> Cow<'static, str> {
        match self.about {
            None => self.word.into(),
            Some(name) => format!("{}:{name}", self.word).into(),
        }
    }
}
