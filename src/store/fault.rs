//! What can be wrong with the store, for the log: words of ours, so that no address or password can slip into a line.

use std::{fmt, io};

/// Why a call or a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreError {
    /// No answer in the time that a call has.
    Slow,
    /// No connection, or it broke.
    Unreachable(io::ErrorKind),
    /// The user or the password is wrong, or missing.
    Login,
    /// An error, by its code, like `READONLY` or `OOM`.
    Refused(String),
    /// Something that no Redis says, or not to this.
    Garbled,
}

impl StoreError {
    /// By the code of an error: its first word, if it looks like one.
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

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow => f.write_str("it does not answer in time"),
            Self::Unreachable(kind) => write!(f, "there is no connection ({kind})"),
            Self::Login => f.write_str("it does not accept the user or the password"),
            Self::Refused(code) => write!(f, "it refuses with {code}"),
            Self::Garbled => f.write_str("what it says is not Redis' language"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_gets_into_a_line() {
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
