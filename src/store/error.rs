//! What can be wrong with the store. The texts are ours alone, so that no address or password gets
//! into a log line.

use std::io;

/// The store can't be asked, or did not reply in time. A write may have reached it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is unavailable")]
pub struct Unavailable;

/// A text is not the address of a store. The message is a clause without any part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL of the supported schemes, or one with wrong parts.
    #[error("is not the URL of a Redis")]
    NotRedis,
    /// Options in the URL.
    #[error("has a `?` or `#` part, which is not supported")]
    HasOptions,
    /// A build without the cargo feature `redis`.
    #[error("can't be used: this program was built without Redis (cargo feature `redis`)")]
    NotBuilt,
}

/// Why a call or a connection failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// No reply within the timeout of a call.
    #[error("it does not reply in time")]
    Timeout,
    /// There is no connection, or it broke.
    #[error("there is no connection ({0})")]
    Unreachable(io::ErrorKind),
    /// The user or the password is wrong, or missing.
    #[error("it does not accept the user or the password")]
    Login,
    /// An error reply, by its code, like `READONLY` or `OOM`.
    #[error("it refuses with {0}")]
    Refused(String),
    /// Not the protocol of Redis, or not a reply of the script.
    #[error("it sends invalid replies")]
    Invalid,
}

/// The codes of error replies that concern the store as a whole, or this connection to it: every
/// other call would fail as well. Other codes concern one call: a key of another type
/// (`WRONGTYPE`), a mistake in a script (`ERR`), a permission (`NOPERM`).
const WHOLE_STORE: &[&str] = &[
    // Demoted to a replica: the store's name may lead to another server by now.
    "READONLY",
    // A replica that has lost its primary, and may not serve what it has.
    "MASTERDOWN",
    // Just started, and loading its data.
    "LOADING",
    // Another client's script blocks it.
    "BUSY",
    // Writes are refused: no memory, no disk, too few replicas.
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    // A node of a cluster, which has a part of the keys at most.
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
    // Protected mode.
    "DENIED",
];

impl StoreError {
    /// Whether it concerns every call, and not only the one that failed.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Refused(code) => WHOLE_STORE.contains(&code.as_str()),
            Self::Timeout | Self::Unreachable(_) | Self::Login | Self::Invalid => true,
        }
    }

    /// An error reply with this code: the first word of its text, if it looks like a code.
    pub(super) fn refused(code: Option<&str>) -> Self {
        match code {
            Some("NOAUTH" | "WRONGPASS") => Self::Login,
            Some(code)
                if code.len() <= 24 && code.bytes().all(|byte| byte.is_ascii_uppercase()) =>
            {
                Self::Refused(code.to_owned())
            }
            _ => Self::Refused("ERR".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reply_concerns_one_call_or_all_of_them() {
        let concerns_all = |code| StoreError::refused(Some(code)).concerns_all();
        for code in [
            "READONLY",
            "LOADING",
            "MASTERDOWN",
            "OOM",
            "BUSY",
            "NOAUTH",
            "CLUSTERDOWN",
        ] {
            assert!(concerns_all(code), "{code}");
        }
        for code in ["WRONGTYPE", "ERR", "NOPERM", "EXECABORT", "NEWCODE", "odd"] {
            assert!(!concerns_all(code), "{code}");
        }
    }

    #[test]
    fn only_an_error_code_gets_into_a_log_line() {
        assert_eq!(StoreError::refused(Some("WRONGPASS")), StoreError::Login);
        assert_eq!(
            StoreError::refused(Some("READONLY")),
            StoreError::Refused("READONLY".into())
        );
        for odd in [Some("redis://user:secret@host"), Some("secret"), None] {
            assert_eq!(
                StoreError::refused(odd).to_string(),
                "it refuses with ERR",
                "{odd:?}"
            );
        }
    }
}
