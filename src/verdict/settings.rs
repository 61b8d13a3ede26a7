//! What the operator decides about verdicts.

use std::time::Duration;

use super::{
    judge::PassRule,
    key::{VerdictPublicKey, VerdictSigningKey},
};

/// `[verdict]`, checked.
pub struct VerdictSettings {
    /// What signs, and what is published.
    pub keys: VerdictKeys,
    /// `iss`
    pub issuer: String,
    /// `aud`
    pub audience: String,
    /// From `iat` to `exp`.
    pub lifetime: Duration,
    /// What a pass is.
    pub rule: PassRule,
    /// The digest of the video is in the verdict.
    pub video_digest: bool,
}

/// The keys of verdicts at one time.
pub struct VerdictKeys {
    /// Signs.
    pub signing_key: VerdictSigningKey,
    /// Published too: keys that signed before, or will sign next.
    pub previous_keys: Vec<VerdictPublicKey>,
}
