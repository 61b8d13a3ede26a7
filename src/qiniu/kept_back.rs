//! The names of members of Qiniu's responses that are not passed on: each is logged once, so that
//! the operator learns of a new member and can add it to `response.fields`.
//!
//! Never holds or logs a value. Nothing is stored of a response that proved invalid, and no more
//! than [`MAX_NAMES`] names are ever logged, [`MAX_NAME`] bytes of each.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// Maximum number of names.
const MAX_NAMES: usize = 100;
/// Maximum size of a name, in bytes.
const MAX_NAME: usize = 64;

/// The names that were logged, by their hashes. Requests share it without a lock.
pub struct KeptBackNames {
    keys: RandomState,
    /// Filled from the front; 0 is free.
    logged: [AtomicU64; MAX_NAMES],
}

/// The names of one response that were not logged yet. Usually there is none.
pub(super) struct NewNames<'n> {
    known: &'n KeptBackNames,
    names: Vec<String>,
}

impl Default for KeptBackNames {
    fn default() -> Self {
        Self {
            keys: RandomState::new(),
            logged: [const { AtomicU64::new(0) }; MAX_NAMES],
        }
    }
}

impl KeptBackNames {
    /// Whether a name was logged, or is not going to be.
    fn is_known(&self, name: &str) -> bool {
        let hash = self.hash(name);
        for logged in &self.logged {
            match logged.load(Ordering::Relaxed) {
                0 => return false,
                known if known == hash => return true,
                _ => {}
            }
        }
        true
    }

    /// Takes a name, and returns whether it is the first time and there is room.
    fn add(&self, name: &str) -> bool {
        let hash = self.hash(name);
        for logged in &self.logged {
            match logged.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(known) if known == hash => return false,
                Err(_) => {}
            }
        }
        false
    }

    fn hash(&self, name: &str) -> u64 {
        self.keys.hash_one(name).max(1)
    }
}

impl<'n> NewNames<'n> {
    /// No names yet.
    pub(super) fn new(known: &'n KeptBackNames) -> Self {
        Self {
            known,
            names: Vec::new(),
        }
    }

    /// Takes the name of a member that is kept back, unless it is known.
    pub(super) fn take(&mut self, name: &[u8]) {
        let name = start(name);
        let is_new = !self.known.is_known(name) && !self.names.iter().any(|it| it == name);
        if is_new && self.names.len() < MAX_NAMES {
            self.names.push(name.to_owned());
        }
    }

    /// Logs the names, after the response has proved valid.
    pub(super) fn log(self) {
        for name in self.names {
            if self.known.add(&name) {
                tracing::info!(
                    member = %name.escape_debug(),
                    "a member of Qiniu's response is kept back: response.fields does not name it, \
                     or it is longer than response.max_string"
                );
            }
        }
    }
}

/// The first [`MAX_NAME`] bytes of a name, without a part of a character at the end.
fn start(name: &[u8]) -> &str {
    let name = name.get(..MAX_NAME).unwrap_or(name);
    match str::from_utf8(name) {
        Ok(name) => name,
        Err(error) => {
            let complete = name.get(..error.valid_up_to()).unwrap_or_default();
            str::from_utf8(complete).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_new_once_and_no_more_than_a_hundred_are() {
        let names = KeptBackNames::default();
        assert!(!names.is_known("crop"));
        assert!(names.add("crop") && !names.add("crop") && names.is_known("crop"));
        let added = (0..200).filter(|at| names.add(&at.to_string())).count();
        assert_eq!(added, MAX_NAMES - 1);
        assert!(!names.add("later") && names.is_known("later"));
    }

    #[test]
    fn a_response_reports_each_new_name_once_and_cut_between_characters() {
        let names = KeptBackNames::default();
        names.add("face_token");
        let mut new = NewNames::new(&names);
        // 21 characters of three bytes fit into 64 bytes.
        let long = "\u{56fe}".repeat(100);
        let given = ["face_token", "crop", &long, "crop", "a\u{1}\n\u{202e}"];
        given.iter().for_each(|name| new.take(name.as_bytes()));
        assert_eq!(new.names, ["crop", &long[..63], "a\u{1}\n\u{202e}"]);
        (0..500_u16).for_each(|at| new.take(&at.to_be_bytes()));
        assert!(new.names.len() <= MAX_NAMES);
    }
}
