//! What a test sends to a gateway, and what must not stay there.

use std::sync::{Arc, Mutex};

use data_encoding::{BASE64, BASE64URL_NOPAD};

use super::image::Texts;
use crate::support::token;

/// A text with the name that a failure prints.
type NamedText = (String, Vec<u8>);

/// How a video is sent.
#[derive(Clone, Copy)]
pub(super) enum SentAs {
    Json,
    Raw,
    Form,
}

/// What was sent and received, to be looked for.
#[derive(Clone, Default)]
pub(super) struct Sent {
    texts: Arc<Mutex<Vec<NamedText>>>,
    /// Whether to look for bytes as they were on the connection of a frontend, too. hyper and h2
    /// hold these.
    as_received: bool,
}

impl Sent {
    /// The same texts, to which all of what is sent is added from now on.
    pub(super) fn as_received(&self) -> Self {
        Self {
            as_received: true,
            ..self.clone()
        }
    }

    pub(super) fn note(&self, name: &str, text: impl Into<Vec<u8>>) {
        let mut texts = self.texts.lock().unwrap();
        texts.push((name.to_owned(), text.into()));
    }

    fn note_as_received(&self, name: &str, text: impl Into<Vec<u8>>) {
        if self.as_received {
            self.note(name, text);
        }
    }

    pub(super) fn texts(&self) -> Texts {
        let mut texts = Texts::new();
        for (name, text) in self.texts.lock().unwrap().iter() {
            match text.len() < 3_000 {
                true => texts.add(name, text.clone()),
                false => texts.add_large(name, text.clone()),
            }
        }
        texts
    }

    /// A token, of which the signature is looked for: a verdict has some of the same claims.
    pub(super) fn token(&self, name: &str, user: &str) -> String {
        let token = token(user, None);
        let (_, signature) = token.rsplit_once('.').unwrap();
        self.note_as_received(&format!("{name}: token"), signature);
        format!("Bearer {token}")
    }

    pub(super) fn sealed(&self, name: &str, id: &str) {
        let base64 = id.strip_prefix("lg1.").unwrap();
        self.note_as_received(&format!("{name}: sealed session id"), base64);
        let decoded = BASE64URL_NOPAD.decode(base64.as_bytes()).unwrap();
        self.note(&format!("{name}: sealed session id, decoded"), decoded);
    }

    /// A video that is sent like this; the gateway makes base64 of one that is not in JSON.
    pub(super) fn video(&self, name: &str, size: usize, sent_as: SentAs) -> Vec<u8> {
        let video = random(size);
        let base64 = BASE64.encode(&video);
        self.note_as_received(&format!("{name}: video"), video.clone());
        match sent_as {
            SentAs::Raw | SentAs::Form => {
                self.note(&format!("{name}: base64 of a raw video"), base64);
            }
            SentAs::Json => self.note_as_received(&format!("{name}: video in base64"), base64),
        }
        video
    }
}

pub(super) fn random(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}
