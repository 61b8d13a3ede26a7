//! `token`: prints a short-lived HS256 token, for development with an `[[identity]]` that has a
//! shared `secret`.
//!
//! The secret comes from an environment variable, never from the command line, which every user of
//! the machine can read. It is never printed.

use std::{
    env,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use super::arguments;
use crate::generate::{self, GenerateError, TokenClaims};

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// Environment variable with the identity's shared secret, at least 32 bytes
    #[arg(long, value_name = "NAME")]
    secret_env: String,
    /// Issuer (`iss`), as configured in the identity, for example `https://login.example.com/`
    #[arg(long, value_name = "ISSUER")]
    issuer: String,
    /// Audience (`aud`), as configured in the identity, for example liveness
    #[arg(long, value_name = "AUDIENCE")]
    audience: String,
    /// User (`sub`), for example alice
    #[arg(long, value_name = "USER")]
    subject: String,
    /// Scopes (`scope`), separated by spaces [default: none]
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// Validity of the token: a whole number and a unit (s, min, h or day), 1s to 30day
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10min",
        value_parser = arguments::lifetime
    )]
    lifetime: Duration,
}

/// Why no token can be printed.
#[derive(Debug, thiserror::Error)]
enum TokenCommandError {
    #[error("the environment variable {0} is not set, or is not valid UTF-8")]
    Variable(String),
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

impl TokenArgs {
    /// Prints the token to standard output.
    pub fn run(&self) -> ExitCode {
        match self.token() {
            Ok(token) => super::print(&format!("{token}\n")),
            Err(error) => super::fail(&error),
        }
    }

    fn token(&self) -> Result<String, TokenCommandError> {
        let secret = zeroize::Zeroizing::new(
            env::var(&self.secret_env)
                .map_err(|_| TokenCommandError::Variable(self.secret_env.clone()))?,
        );
        let claims = TokenClaims {
            issuer: &self.issuer,
            audience: &self.audience,
            subject: &self.subject,
            scope: self.scope.as_deref(),
            now: SystemTime::now(),
            lifetime: self.lifetime,
        };
        Ok(generate::development_token(secret.as_bytes(), &claims)?)
    }
}
