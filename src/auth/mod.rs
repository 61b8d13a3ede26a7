//! Who is calling: the bearer token of a request, checked, becomes a [`Caller`].
//!
//! The header is found by `bearer`; a token that was verified before is known to `cache`; any other is taken apart and
//! judged by `token` and `claims`, its key found in [`keys`].
//! It relies on the clock it is handed and on keys read before; it never reads a file, never fetches, never logs, and
//! no token byte, user id or key leaves it in an error.

mod bearer;
mod cache;
mod claims;
mod jwk;
pub mod keys;
mod object;
mod pem;
mod pseudonym;
mod refusal;
#[cfg(test)]
mod tests;
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper::HeaderMap;
pub use jsonwebtoken::Algorithm;

use self::cache::{Digest, VerifiedTokens};
pub use self::{pseudonym::Pseudonyms, refusal::AuthRefusal};

/// One `[[identity]]`, checked.
pub struct IdentitySettings {
    /// Exactly what a token's `iss` must be.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audience: Vec<String>,
    /// The keys with the algorithms each may be used with.
    pub keys: keys::KeySet,
    /// The claim that names the user; `sub` unless configured.
    pub user_claim: String,
    /// How far the clocks may differ.
    pub leeway: Duration,
}

/// An authenticated user behind a frontend. It has no `Debug`: user ids are personal.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's issuer.
    pub issuer: Arc<str>,
    /// The value of the user claim.
    pub user: Arc<str>,
    /// The scopes the token grants.
    pub scopes: Vec<Box<str>>,
    /// What records call the user.
    pub pseudonym: Arc<str>,
}

impl Caller {
    /// Whether the token grants exactly this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| **granted == *scope)
    }

    /// About as much memory as it takes, the issuer aside, which all callers share.
    fn bytes(&self) -> usize {
        let scopes = self.scopes.iter();
        let scopes: usize = scopes.map(|scope| scope.len().max(16) + 32).sum();
        self.user.len() + self.pseudonym.len() + scopes
    }
}

/// Checks bearer tokens against the configured identities.
pub struct Authenticator {
    identities: Vec<Identity>,
    pseudonyms: Pseudonyms,
    verified: VerifiedTokens,
}

/// An identity with its issuer in the form that callers share.
struct Identity {
    issuer: Arc<str>,
    settings: IdentitySettings,
}

impl Authenticator {
    /// Of several identities with one issuer only the first would ever be asked: the configuration refuses that.
    pub fn new(identities: Vec<IdentitySettings>, pseudonyms: Pseudonyms) -> Self {
        let identities = identities
            .into_iter()
            .map(|settings| Identity {
                issuer: Arc::from(settings.issuer.as_str()),
                settings,
            })
            .collect();
        Self {
            identities,
            pseudonyms,
            verified: VerifiedTokens::default(),
        }
    }

    /// Who made the request with these headers.
    ///
    /// `now` is the wall clock that `exp`, `nbf` and `iat` are held against.
    ///
    /// # Errors
    /// The first rule of the token that is broken. The signature is judged before any claim but `iss`, which chooses
    /// the keys.
    pub fn authenticate(
        &self,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Arc<Caller>, AuthRefusal> {
        let token = bearer::credentials(headers)?;
        let digest = Digest::of(token);
        match self.verified.find(&digest, now) {
            Some(answer) => answer,
            None => self.verify(token, digest, now),
        }
    }

    fn verify(
        &self,
        token: &[u8],
        digest: Digest,
        now: SystemTime,
    ) -> Result<Arc<Caller>, AuthRefusal> {
        let token = token::take_apart(bearer::text(token)?)?;
        // Not verified yet: it says whose keys to use, and those keys then vouch for it.
        let issuer = claims::issuer(&token.claims)?;
        let identity = self
            .identities
            .iter()
            .find(|identity| *identity.issuer == *issuer)
            .ok_or(AuthRefusal::UnknownIssuer)?;
        let settings = &identity.settings;
        let key = settings.keys.verify(&token)?;
        claims::check_audience(&token.claims, &settings.audience)?;
        let times = claims::times(&token.claims, settings.leeway)?;
        times.check(now)?;
        let user = claims::user(&token.claims, &settings.user_claim)?;
        let caller = Arc::new(Caller {
            issuer: Arc::clone(&identity.issuer),
            user: Arc::from(user),
            scopes: claims::scopes(&token.claims)?,
            pseudonym: self.pseudonyms.of(issuer, user).into(),
        });
        self.verified.remember(digest, &caller, key, times);
        Ok(caller)
    }
}
