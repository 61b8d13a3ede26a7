//! Parsers of arguments and environment variables that several commands take.
//!
//! A parser's error is shown by clap behind the flag and the value, so it says only what is wrong
//! and gives an example. It never repeats the value of a key.

use std::{
    env::{self, VarError},
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use crate::{config::units, secret::Secret};

/// Environment variable with Qiniu's access key.
pub(super) const ACCESS_KEY: &str = "QINIU_ACCESS_KEY";
/// Environment variable with Qiniu's secret key.
pub(super) const SECRET_KEY: &str = "QINIU_SECRET_KEY";

/// The suggested fix for a missing key.
const KEY_HINT: &str = "set it to a key of Qiniu, or to any invented key for the emulator";

/// Why a value is no address to listen on.
#[derive(Debug, thiserror::Error)]
#[error(
    "{cause}; expected ADDRESS:PORT or NAME:PORT, for example 127.0.0.1:8080 or localhost:8080"
)]
pub(super) struct ListenError {
    cause: io::Error,
}

/// Why a value is no duration, or is out of range.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected}")]
pub(super) struct DurationError {
    expected: &'static str,
}

/// Why one of Qiniu's keys can't be read from the environment.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyVariableError {
    /// The variable does not exist.
    #[error("the environment variable {0} is not set; {hint}", hint = KEY_HINT)]
    Missing(&'static str),
    /// The variable is empty.
    #[error("the environment variable {0} is empty; {hint}", hint = KEY_HINT)]
    Empty(&'static str),
    /// The key can't be part of a header.
    #[error("the environment variable {0} holds blanks, colons or characters outside ASCII")]
    Malformed(&'static str),
}

/// Parses an address to listen on. A host name is resolved: its first IPv4 address counts, or its
/// first address if it has no IPv4 address.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, ListenError> {
    let addresses = text
        .to_socket_addrs()
        .map_err(|cause| ListenError { cause })?;
    let addresses: Vec<_> = addresses.collect();
    let preferred = addresses.iter().find(|address| address.is_ipv4());
    preferred
        .or(addresses.first())
        .copied()
        .ok_or_else(|| ListenError {
            cause: io::ErrorKind::AddrNotAvailable.into(),
        })
}

/// Parses the latency of the emulator.
pub(super) fn latency(text: &str) -> Result<Duration, DurationError> {
    const MAX: Duration = Duration::from_secs(10 * 60);
    units::duration(text)
        .filter(|latency| *latency <= MAX)
        .ok_or(DurationError {
            expected: "a number and a unit (ms, s or min), at most 10min, for example 250ms",
        })
}

/// Parses the lifetime of a development token.
pub(super) fn lifetime(text: &str) -> Result<Duration, DurationError> {
    const MIN: Duration = Duration::from_secs(1);
    /// A token that is valid for longer is no development token.
    const MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    units::duration(text)
        .filter(|lifetime| (MIN..=MAX).contains(lifetime))
        .ok_or(DurationError {
            expected: "a number and a unit (s, min, h or day), 1s to 30day, for example 10min",
        })
}

/// Reads one of Qiniu's keys from the environment.
pub(super) fn qiniu_key(name: &'static str) -> Result<Secret, KeyVariableError> {
    key(name, env::var(name))
}

/// Accepts printable ASCII without blanks and colons; a header can't carry any other key.
fn key(name: &'static str, value: Result<String, VarError>) -> Result<Secret, KeyVariableError> {
    let value = value.map_err(|error| match error {
        VarError::NotPresent => KeyVariableError::Missing(name),
        VarError::NotUnicode(_) => KeyVariableError::Malformed(name),
    })?;
    if value.is_empty() {
        return Err(KeyVariableError::Empty(name));
    }
    if !value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b':')
    {
        return Err(KeyVariableError::Malformed(name));
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_may_be_a_host_name() {
        let parse = |text| listen_address(text).map(|address| address.to_string()).ok();
        assert_eq!(parse("127.0.0.1:8085").as_deref(), Some("127.0.0.1:8085"));
        assert_eq!(parse("[::1]:0").as_deref(), Some("[::1]:0"));
        assert_eq!(parse("localhost:8085").as_deref(), Some("127.0.0.1:8085"));
    }

    #[test]
    fn a_wrong_listen_address_is_refused_with_an_example() {
        for wrong in [
            "",
            "8085",
            "localhost",
            "127.0.0.1",
            "localhost:",
            "localhost:http",
            "localhost:65536",
            "http://localhost:8085",
            "no-such-host.invalid:8085",
        ] {
            let error = listen_address(wrong).unwrap_err().to_string();
            assert!(error.contains("localhost:8080"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_latency_has_a_unit_and_a_maximum() {
        let latency = |text| latency(text).ok();
        assert_eq!(latency("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(latency("10min"), Some(Duration::from_secs(600)));
        for wrong in [
            "",
            "5",
            "ms",
            "1.5s",
            "-1s",
            "1 s",
            "1m",
            "601s",
            "99999999999999999999s",
        ] {
            assert_eq!(latency(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_lifetime_has_a_unit_and_limits() {
        let lifetime = |text| lifetime(text).ok();
        for (text, seconds) in [
            ("90s", 90),
            ("10min", 600),
            ("1h", 3600),
            ("30day", 30 * 24 * 3600),
        ] {
            assert_eq!(lifetime(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in [
            "",
            "10",
            "min",
            "0s",
            "999ms",
            "31day",
            "-1s",
            "1.5h",
            "1 h",
            "99999999999999999999s",
            "9999999999999999h",
            "1µ",
        ] {
            assert_eq!(lifetime(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_key_is_refused_by_name_without_its_value() {
        for wrong in ["", "with blank", "with:colon", "k\u{e9}y", "line\n"] {
            let error = key(SECRET_KEY, Ok(wrong.into())).err().unwrap().to_string();
            assert!(error.contains(SECRET_KEY));
            assert!(wrong.is_empty() || !error.contains(wrong));
        }
        let missing = key(ACCESS_KEY, Err(VarError::NotPresent)).err().unwrap();
        assert!(missing.to_string().contains("QINIU_ACCESS_KEY is not set"));
        let good = key(ACCESS_KEY, Ok("AK-1_".into())).ok().unwrap();
        assert_eq!(good.reveal(), b"AK-1_");
    }
}
