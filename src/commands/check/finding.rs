//! What was found at a server, and the line that says so.
//!
//! A line is one line, whatever a server has sent: control characters are replaced.

use std::fmt;

use crate::outbound::{advice::SettingAtFault, origin::Origin};

/// A server that is asked: what it is for, and where it is.
pub(super) struct ServerName {
    kind: &'static str,
    place: String,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) state: FindingState,
    text: String,
}

/// Whether a server can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FindingState {
    /// It can.
    Good,
    /// It can, but something is odd, or nothing depends on it.
    Odd,
    /// It can't.
    Failed,
}

/// A finding, as it is printed.
pub(super) struct ServerLine {
    pub(super) name: ServerName,
    pub(super) finding: Finding,
}

/// The keys of the configuration that say how a server is reached.
pub(super) struct ServerKeys {
    /// The section, such as `qiniu` or `identity[0]`.
    pub(super) section: String,
    /// The key of its address.
    pub(super) address: &'static str,
}

impl ServerName {
    pub(super) fn new(kind: &'static str, place: String) -> Self {
        Self { kind, place }
    }

    /// A server at this URL, without a path: that may hold a secret.
    pub(super) fn of_origin(kind: &'static str, origin: &Origin) -> Self {
        let scheme = if origin.tls { "https" } else { "http" };
        Self::new(kind, format!("{scheme}://{}", origin.authority))
    }
}

impl Finding {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self {
            state: FindingState::Good,
            text: text.into(),
        }
    }

    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self {
            state: FindingState::Failed,
            text: text.into(),
        }
    }

    /// A finding with what is odd about it, if anything.
    pub(super) fn with_oddities(text: String, oddities: Vec<String>) -> Self {
        match oddities.is_empty() {
            true => Self::good(text),
            false => Self {
                state: FindingState::Odd,
                text: format!("{text}; but {}", oddities.join("; ")),
            },
        }
    }

    /// The same, where nothing depends on the server.
    pub(super) fn only_odd(self) -> Self {
        match self.state {
            FindingState::Good => self,
            FindingState::Odd | FindingState::Failed => Self {
                state: FindingState::Odd,
                ..self
            },
        }
    }
}

impl ServerKeys {
    pub(super) fn new(section: impl Into<String>, address: &'static str) -> Self {
        Self {
            section: section.into(),
            address,
        }
    }

    /// A failure: its cause, what to do, and the key to look at.
    pub(super) fn failed(
        &self,
        cause: &dyn fmt::Display,
        advice: &str,
        setting: SettingAtFault,
    ) -> Finding {
        let key = match setting {
            SettingAtFault::Address => format!(" ({}.{})", self.section, self.address),
            SettingAtFault::Authorities => format!(" ({}.ca_file)", self.section),
            SettingAtFault::Proxy => " (outbound.proxy)".to_owned(),
            SettingAtFault::Nothing => String::new(),
        };
        Finding::failed(format!("{cause}; {advice}{key}"))
    }
}

impl fmt::Display for ServerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, finding } = self;
        let mark = match finding.state {
            FindingState::Good => "ok",
            FindingState::Odd => "warning",
            FindingState::Failed => "FAILED",
        };
        let line = format!(
            "{mark:<7}  {:<8}  {}: {}",
            name.kind, name.place, finding.text
        );
        f.write_str(&line.replace(|letter: char| letter.is_control(), "\u{fffd}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_a_server_has_sent() {
        let line = |finding| {
            let name = ServerName::new("issuer", "https://a".into());
            ServerLine { name, finding }.to_string()
        };
        let keys = ServerKeys::new("identity[0]", "jwks_url");
        let failed = keys.failed(&"a\nb\u{1b}[2J", "do it", SettingAtFault::Authorities);
        assert_eq!(
            line(failed),
            "FAILED   issuer    https://a: a\u{fffd}b\u{fffd}[2J; do it (identity[0].ca_file)"
        );
        let odd = Finding::with_oddities("3 keys".into(), vec!["one".into(), "two".into()]);
        assert_eq!(
            line(odd),
            "warning  issuer    https://a: 3 keys; but one; two"
        );
        assert_eq!(
            line(Finding::good("3 keys").only_odd()),
            "ok       issuer    https://a: 3 keys"
        );
    }
}
