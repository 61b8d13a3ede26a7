//! Who is calling: the bearer token of a request, checked, becomes a [`Caller`].
//!
//! The header is found by `bearer`; a token that was verified before is known to `cache`; any other is taken apart and
//! judged by `token` and `claims`, its key found in [`key_set`].
//! Keys that an issuer publishes are found by [`discovery`], kept by [`remote`] and fetched by `refresh` in the background;
//! a request waits for them only when its token names a key that nobody knows yet.
//! It relies on the clock it is handed; it never reads a file, and no token byte, user id or key leaves it in an error.

mod bearer;
mod cache;
mod claims;
pub mod discovery;
mod jwk;
mod key;
pub mod key_set;
mod object;
mod pem;
mod pseudonym;
mod refresh;
mod refusal;
pub mod remote;
#[cfg(test)]
mod tests;
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use hyper::HeaderMap;
pub use jsonwebtoken::Algorithm;

use self::{
    cache::{TokenCache, TokenDigest},
    claims::TokenValidity,
    key_set::VerificationKeys,
    object::JsonObject,
    remote::{RemoteKeySettings, RemoteKeys},
};
pub use self::{pseudonym::Pseudonymizer, refusal::AuthRefusal};
use crate::telemetry::metrics::Metrics;

/// One `[[identity]]`, checked.
pub struct IdentitySettings {
    /// Exactly what a token's `iss` must be.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audience: Vec<String>,
    /// The keys.
    pub keys: KeySource,
    /// The claim that names the user; `sub` unless configured.
    pub user_claim: String,
    /// How far the clocks may differ.
    pub leeway: Duration,
}

/// Where the keys of an identity come from.
pub enum KeySource {
    /// The configuration.
    Fixed(VerificationKeys),
    /// The issuer, who may change them.
    Remote(Box<RemoteKeySettings>),
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
    pseudonyms: Pseudonymizer,
    verified: TokenCache,
}

/// An identity with its issuer in the form that callers share.
struct Identity {
    issuer: Arc<str>,
    audience: Vec<String>,
    user_claim: String,
    leeway: Duration,
    keys: IdentityKeys,
}

enum IdentityKeys {
    Fixed(ArcSwap<VerificationKeys>),
    Remote(Arc<RemoteKeys>),
}

impl Authenticator {
    /// Of several identities with one issuer only the first would ever be asked: the configuration refuses that.
    pub fn new(identities: Vec<IdentitySettings>, pseudonyms: Pseudonymizer) -> Self {
        Self {
            identities: identities.into_iter().map(Identity::new).collect(),
            pseudonyms,
            verified: TokenCache::default(),
        }
    }

    /// Who made the request with these headers. Waits only, and for seconds at the most, when the token names a key that
    /// its issuer may have published a moment ago.
    ///
    /// `now` is the wall clock that `exp`, `nbf` and `iat` are held against.
    ///
    /// # Errors
    /// The first rule of the token that is broken. The signature is judged before any claim but `iss`, which chooses
    /// the keys.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Arc<Caller>, AuthRefusal> {
        let token = bearer::credentials(headers)?;
        let digest = TokenDigest::of(token);
        match self.verified.find(&digest, now) {
            Some(answer) => answer,
            // Boxed: a token is seen for the first time once, and what a future holds is moved with it.
            None => Box::pin(self.verify(token, digest, now)).await,
        }
    }

    async fn verify(
        &self,
        token: &[u8],
        digest: TokenDigest,
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
        let key = match &identity.keys {
            IdentityKeys::Fixed(keys) => Arc::clone(keys.load().verify(&token)?),
            IdentityKeys::Remote(keys) => {
                // Nobody is asked about a token that would be refused anyhow.
                let worth_asking = || identity.judge(&token.claims, now).is_ok();
                keys.verify(&token, worth_asking).await?
            }
        };
        let (user, scopes, times) = identity.judge(&token.claims, now)?;
        let caller = Arc::new(Caller {
            issuer: Arc::clone(&identity.issuer),
            user: Arc::from(user),
            scopes,
            pseudonym: self.pseudonyms.of(issuer, user).into(),
        });
        self.verified.remember(digest, &caller, &key, times);
        Ok(caller)
    }

    /// Checks this issuer's tokens with other keys of the configuration from now on. Keys that go take the tokens they
    /// vouched for along.
    pub fn change_keys(&self, issuer: &str, keys: VerificationKeys) {
        let mut of_issuer = self.identities.iter().filter(|it| *it.issuer == *issuer);
        if let Some(IdentityKeys::Fixed(known)) = of_issuer.next().map(|identity| &identity.keys) {
            let keys = keys.keeping(&known.load());
            known.store(Arc::new(keys));
        }
    }

    /// Whether there are keys for every identity.
    pub fn has_all_keys(&self) -> bool {
        self.remotes().all(|keys| keys.fetched().is_some())
    }

    /// Fetches the keys that issuers publish, now and for as long as it is not dropped; `known` is told whether there are
    /// keys for every identity, whenever that may have changed.
    pub async fn refresh_keys(
        self: Arc<Self>,
        metrics: Arc<Metrics>,
        known: impl Fn(bool) + Clone + Send + Sync + 'static,
    ) {
        let mut tasks = tokio::task::JoinSet::new();
        for keys in self.remotes() {
            let (all, known) = (Arc::clone(&self), known.clone());
            let changed = move || known(all.has_all_keys());
            tasks.spawn(refresh::keep(
                Arc::clone(keys),
                Arc::clone(&metrics),
                changed,
            ));
        }
        while tasks.join_next().await.is_some() {}
    }

    fn remotes(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.identities.iter().filter_map(|it| match &it.keys {
            IdentityKeys::Fixed(_) => None,
            IdentityKeys::Remote(keys) => Some(keys),
        })
    }
}

impl Identity {
    fn new(settings: IdentitySettings) -> Self {
        let issuer: Arc<str> = Arc::from(settings.issuer.as_str());
        Self {
            keys: match settings.keys {
                KeySource::Fixed(keys) => IdentityKeys::Fixed(ArcSwap::from_pointee(keys)),
                KeySource::Remote(remote) => {
                    IdentityKeys::Remote(Arc::new(RemoteKeys::new(Arc::clone(&issuer), *remote)))
                }
            },
            issuer,
            audience: settings.audience,
            user_claim: settings.user_claim,
            leeway: settings.leeway,
        }
    }

    /// The rules of all claims but `iss`: the user, the scopes, and when the token may be used.
    fn judge<'a>(
        &self,
        claims: &'a JsonObject,
        now: SystemTime,
    ) -> Result<(&'a str, Vec<Box<str>>, TokenValidity), AuthRefusal> {
        claims::check_audience(claims, &self.audience)?;
        let times = claims::times(claims, self.leeway)?;
        times.check(now)?;
        let user = claims::user(claims, &self.user_claim)?;
        Ok((user, claims::scopes(claims)?, times))
    }
}
