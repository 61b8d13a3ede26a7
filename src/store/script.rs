//! The scripts, each one round trip and atomic, and their replies. They use only commands that
//! Redis 7 and Valkey both have.

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

/// A script. The store knows it by its digest once it has run it.
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) digest: String,
}

/// All scripts.
pub(super) struct Scripts {
    pub(super) alive: Script,
    pub(super) heartbeat: Script,
    pub(super) age: Script,
    pub(super) is_alive: Script,
    pub(super) rate: Script,
    pub(super) quota: Script,
    pub(super) claim: Script,
    pub(super) publish: Script,
}

/// The reply of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptReply {
    /// An integer.
    Number(i64),
    /// A string.
    Bytes(Vec<u8>),
    /// An array.
    List(Vec<ScriptReply>),
    /// What no script returns.
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
            alive: Script::new(include_str!("lua/alive.lua")),
            heartbeat: Script::new(concat!(
                include_str!("lua/primary.lua"),
                include_str!("lua/heartbeat.lua")
            )),
            age: Script::new(concat!(
                include_str!("lua/primary.lua"),
                include_str!("lua/age.lua"),
                "return age(KEYS[1])\n"
            )),
            is_alive: Script::new("return redis.call('EXISTS', KEYS[1])\n"),
            rate: Script::new(include_str!("lua/rate.lua")),
            quota: Script::new(include_str!("lua/quota.lua")),
            claim: Script::new(concat!(
                include_str!("lua/primary.lua"),
                include_str!("lua/age.lua"),
                include_str!("lua/claim.lua")
            )),
            publish: Script::new(include_str!("lua/publish.lua")),
        }
    }
}
