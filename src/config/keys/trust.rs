//! The keys of `[sessions]`, `[verdict]`, `[evidence]` and `[store]`: what makes a result worth trusting, from any replica.

use super::{ConfigKey, THRESHOLDS, ValueType, key};

/// In the order in which they are shown.
pub(super) const TRUST: &[ConfigKey] = &[
    key(
        "sessions.bind",
        ValueType::Bool,
        "true",
        "Give frontends session ids that are of use to their own user alone, and recognise retries",
    ),
    key(
        "sessions.seal_key",
        ValueType::Secret,
        "",
        "Seals session ids: 32 bytes in base64, the same on all replicas; without it, one is made at start",
    ),
    key(
        "sessions.previous_seal_key",
        ValueType::Secret,
        "",
        "A second key that ids may be sealed with, while keys are changed",
    ),
    key(
        "verdict.signing_key",
        ValueType::Secret,
        "",
        "Signs verdicts: an Ed25519 private key, PKCS#8 PEM",
    ),
    key(
        "verdict.previous_keys",
        ValueType::Texts,
        "[]",
        "Files with public keys, PEM, that are published beside that of signing_key",
    ),
    key("verdict.issuer", ValueType::Text, "", "The iss of verdicts"),
    key(
        "verdict.audience",
        ValueType::Text,
        "",
        "The aud of verdicts",
    ),
    key(
        "verdict.lifetime",
        ValueType::Duration,
        "\"5min\"",
        "How long a verdict is good for",
    ),
    key(
        "verdict.threshold",
        ValueType::Word(THRESHOLDS),
        "\"frr_1e-3\"",
        "Which of Qiniu's thresholds the score must be above",
    ),
    key(
        "verdict.max_spoofing",
        ValueType::Fraction,
        "1.0",
        "The synthetic-image score at the most; 1.0: not asked for",
    ),
    key(
        "verdict.video_digest",
        ValueType::Bool,
        "false",
        "Put the SHA-256 of the video into the verdict",
    ),
    key(
        "evidence.url",
        ValueType::Text,
        "",
        "Where Qiniu's whole answers are posted, pictures included; http:// only to loopback",
    ),
    key(
        "evidence.secret",
        ValueType::Secret,
        "",
        "Signs the deliveries: whsec_ and 24 to 64 bytes in base64",
    ),
    key(
        "evidence.on",
        ValueType::Word(&["pass", "always"]),
        "\"pass\"",
        "Deliver what passes, or all",
    ),
    key(
        "evidence.required",
        ValueType::Bool,
        "false",
        "Make what was not acknowledged no pass",
    ),
    key(
        "evidence.timeout",
        ValueType::Duration,
        "\"5s\"",
        "Time for a delivery, its retry included",
    ),
    key(
        "evidence.ca_file",
        ValueType::Text,
        "\"\"",
        "Certificate authorities to trust instead of the system's, PEM",
    ),
    key(
        "evidence.allow_plaintext",
        ValueType::Bool,
        "false",
        "Accept http:// to another machine, where something else encrypts",
    ),
    key(
        "store.redis",
        ValueType::Secret,
        "",
        "Redis or Valkey, where replicas share limits and sessions: redis://, rediss:// or unix://, with user and password",
    ),
    key(
        "store.timeout",
        ValueType::Duration,
        "\"50ms\"",
        "Time for each call; without an answer, a replica does with what it knows itself",
    ),
    key(
        "store.ca_file",
        ValueType::Text,
        "\"\"",
        "Certificate authorities to trust instead of the system's, PEM",
    ),
];
