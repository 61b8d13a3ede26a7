//! `keygen`: prints a new key: `seal` for sealing session ids, `verdict` for signing verdicts.
//!
//! The key goes to stdout and nowhere else, so that it can be piped into a secret store; it is never written to a file
//! from here.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Print a new key.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the key is for
    kind: Kind,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// 32 random bytes in base64, for sealing session ids
    Seal,
    /// An Ed25519 private key (PKCS#8 PEM), for signing verdicts; its public key goes to stderr
    Verdict,
}

impl Args {
    /// Prints the key to stdout, its public half (when it has one) to stderr.
    pub fn run(&self) -> ExitCode {
        let printed = match self.kind {
            Kind::Seal => seal().and_then(|key| print(&key)),
            Kind::Verdict => verdict().and_then(|(private, public)| {
                print(&private)?;
                let note =
                    "# The public key; what is on stdout is the private one and must stay secret.";
                writeln!(io::stderr().lock(), "{note}\n{public}").map_err(|error| error.to_string())
            }),
        };
        match printed {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Nothing is left to be done when even stderr is closed.
                let _ = writeln!(io::stderr().lock(), "keygen: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// A new key that signs verdicts, for this process alone.
///
/// # Errors
/// Why there is none, as a clause for a person.
pub(crate) fn verdict_key() -> Result<String, String> {
    verdict().map(|(private, _)| private.to_string())
}

fn print(key: &str) -> Result<(), String> {
    writeln!(io::stdout().lock(), "{key}").map_err(|error| format!("can't write the key: {error}"))
}

/// 32 random bytes in base64.
fn seal() -> Result<Zeroizing<String>, String> {
    let mut key = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| "the system gives no random bytes")?;
    Ok(Zeroizing::new(BASE64.encode(key.as_ref())))
}

/// A new Ed25519 key: the private one (PKCS#8, version 1, which every OpenSSL reads) and the public one, in PEM.
fn verdict() -> Result<(Zeroizing<String>, String), String> {
    let failed = |_| "the key can't be made";
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok((
        Zeroizing::new(pem("PRIVATE KEY", private.as_ref())),
        pem("PUBLIC KEY", public.as_ref()),
    ))
}

/// One PEM block without a line end behind it. Both kinds of content are under 48 bytes, so they fit on one line.
fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----",
        BASE64.encode(der)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::key_set::VerificationKeys;

    #[test]
    fn a_seal_key_is_32_fresh_bytes() {
        let (one, two) = (seal().unwrap(), seal().unwrap());
        assert_eq!(BASE64.decode(one.as_bytes()).unwrap().len(), 32);
        assert_ne!(*one, *two);
    }

    #[test]
    fn the_halves_of_a_verdict_key_belong_together() {
        let (private, public) = verdict().unwrap();
        let der = |pem: &str| {
            BASE64
                .decode(pem.lines().nth(1).unwrap().as_bytes())
                .unwrap()
        };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(&private)).unwrap();
        assert!(der(&public).ends_with(pair.public_key().as_ref()));
        assert!(VerificationKeys::from_pem(public.as_bytes()).is_ok());
        assert!(
            private.lines().all(|line| line.len() <= 64),
            "PEM lines hold at most 64 characters"
        );
    }
}
