//! The development tokens of the sandbox: one for the guide, a new one for each load of the page.

use std::time::{Duration, SystemTime};

use super::configuration::{AUDIENCE, ISSUER};
use crate::generate::{self, GenerateError, TokenClaims};

const USER: &str = "sandbox-user";
/// As long as a person may try the commands of the guide.
const GUIDE_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// As short as an app's token should be: a page that stays open has to ask for another one.
const PAGE_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Signs tokens that the sandbox's gateway accepts.
pub(super) struct SandboxTokens {
    /// The secret of the gateway's `[[identity]]`.
    pub(super) secret: String,
}

impl SandboxTokens {
    /// A token for the guide.
    pub(super) fn for_guide(&self) -> Result<String, GenerateError> {
        self.token(GUIDE_LIFETIME)
    }

    /// A token for a load of the page.
    pub(super) fn for_page(&self) -> Result<String, GenerateError> {
        self.token(PAGE_LIFETIME)
    }

    fn token(&self, lifetime: Duration) -> Result<String, GenerateError> {
        let claims = TokenClaims {
            issuer: ISSUER,
            audience: AUDIENCE,
            subject: USER,
            scope: None,
            now: SystemTime::now(),
            lifetime,
        };
        generate::development_token(self.secret.as_bytes(), &claims)
    }
}
