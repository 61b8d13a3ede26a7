//! `keygen`: prints a new key that seals session ids or signs verdicts.
//!
//! The private part goes to standard output only, so that it can be piped into a secret store. The
//! command never writes it to a file.

use std::process::ExitCode;

use crate::generate::{self, GenerateError, VerdictKeyPair};

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
pub struct KeygenArgs {
    /// Purpose of the key
    purpose: KeyPurpose,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum KeyPurpose {
    /// For `sessions.seal_key`: 32 random bytes in base64
    Seal,
    /// For `verdict.signing_key`: an Ed25519 private key (PKCS#8 PEM); the public key is printed to
    /// standard error
    Verdict,
}

impl KeygenArgs {
    /// Prints the key to standard output, and a public key to standard error.
    pub fn run(&self) -> ExitCode {
        let printed = match self.purpose {
            KeyPurpose::Seal => generate::seal_key().map(|key| print(&key)),
            KeyPurpose::Verdict => verdict(),
        };
        printed.unwrap_or_else(|error| super::fail(&error))
    }
}

fn verdict() -> Result<ExitCode, GenerateError> {
    let VerdictKeyPair { private, public } = generate::verdict_key_pair()?;
    let code = print(&private);
    super::note(&format!(
        "# This is the public key. Standard output has the private key, which must stay secret.\n\
         {public}"
    ));
    Ok(code)
}

fn print(key: &str) -> ExitCode {
    super::print(&format!("{key}\n"))
}
