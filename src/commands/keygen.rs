//! `keygen`: prints a new key that seals session ids or signs verdicts.
//!
//! The private part goes to standard output only, so that it can be piped into a secret store. The
//! command never writes it to a file.

use std::process::ExitCode;

use crate::generate::{self, GenerateError, VerdictKeyKind, VerdictKeyPair};

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
pub struct KeygenArgs {
    #[command(subcommand)]
    purpose: KeyPurpose,
}

#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true)]
enum KeyPurpose {
    /// For `sessions.seal_key`: 32 random bytes in base64
    Seal,
    /// For `verdict.signing_key`: a private key (PKCS#8 PEM)
    ///
    /// The public key is printed to standard error.
    Verdict {
        /// Algorithm of the signatures
        #[arg(long, value_enum, default_value_t = SigningAlgorithm::EdDsa)]
        algorithm: SigningAlgorithm,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SigningAlgorithm {
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
    /// P-256, for backends whose JWT library lacks EdDSA
    #[value(name = "ES256")]
    Es256,
}

impl KeygenArgs {
    /// Prints the key to standard output, and a public key to standard error.
    pub fn run(&self) -> ExitCode {
        let printed = match self.purpose {
            KeyPurpose::Seal => generate::seal_key().map(|key| print(&key)),
            KeyPurpose::Verdict { algorithm } => verdict(match algorithm {
                SigningAlgorithm::EdDsa => VerdictKeyKind::Ed25519,
                SigningAlgorithm::Es256 => VerdictKeyKind::P256,
            }),
        };
        printed.unwrap_or_else(|error| super::fail(&error))
    }
}

fn verdict(kind: VerdictKeyKind) -> Result<ExitCode, GenerateError> {
    let VerdictKeyPair { private, public } = generate::verdict_key_pair(kind)?;
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
