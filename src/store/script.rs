//! The scripts, each one round trip and atomic, and what they answer. Only commands that Redis 7 and Valkey both have.

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

/// A script; the store knows it by its digest once it has seen it.
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) digest: String,
}

/// All of them.
pub(super) struct Scripts {
    pub(super) beat: Script,
    pub(super) names: Script,
    pub(super) rate: Script,
    pub(super) quota: Script,
    pub(super) claim: Script,
    pub(super) publish: Script,
}

/// What a script answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Number(i64),
    Bytes(Vec<u8>),
    List(Vec<Reply>),
    Other,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let digest = HEXLOWER.encode(&Sha1::digest(text));
        Self { text, digest }
    }
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            beat: Script::new(include_str!("lua/beat.lua")),
            names: Script::new(include_str!("lua/names.lua")),
            rate: Script::new(include_str!("lua/rate.lua")),
            quota: Script::new(include_str!("lua/quota.lua")),
            claim: Script::new(include_str!("lua/claim.lua")),
            publish: Script::new(include_str!("lua/publish.lua")),
        }
    }
}
