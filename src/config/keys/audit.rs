//! The keys of `[audit]`.

use super::{
    ConfigKey,
    KeyDefault::{Required, Value},
    ValueType, key,
};

/// The audit log.
pub(super) const KEYS: &[ConfigKey] = &[
    key(
        "audit.path",
        ValueType::Text,
        Required,
        "File or FIFO that the audit log is written to: one record for each `verify` that reached \
         Qiniu ([audit.md](audit.md)). A file is made with mode 0600, and continued at the next \
         start. Each replica needs its own.",
    ),
    key(
        "audit.required",
        ValueType::Boolean,
        Value("false"),
        "Refuse a `verify` with 503 `not_ready`, before it is sent, while its record can't be \
         written. `false`: records are kept in memory for a while, then lost and counted.",
    ),
    key(
        "audit.checkpoint",
        ValueType::duration("1s", "30day"),
        Value("\"1h\""),
        "Time between two signed checkpoints, which prove all records before them. Without \
         `[verdict]` there is no key, and none is written.",
    ),
    key(
        "audit.consent_claim",
        ValueType::Text,
        Value("\"\""),
        "Claim of the user's token that says what the user has consented to. It is recorded, and a \
         `verify` without it is 403 `insufficient_scope`. Empty: none.",
    ),
];
