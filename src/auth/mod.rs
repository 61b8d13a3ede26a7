//! Authentication: turns the bearer token of a request into a [`Caller`].
//!
//! `token` extracts the token from the headers and decodes it. `cache` holds the tokens that were
//! verified before. [`key_set`] verifies the signature, `identity` and `claims` check the claims.
//! For an issuer that publishes its keys, [`discovery`] finds their URL, `key_set_fetch` fetches
//! them once, `refresh` does so in the background, [`remote`] holds the current set, `refreshed`
//! keeps it over a reload, and `passed_keys` passes it on to another process. A request waits for a
//! fetch only when its token names a key that is not in the current set. `probe` only asks whether
//! keys can be fetched.
//!
//! Relies on the clock that its callers pass in. Never reads a file. No error contains a byte of a
//! token, a user id or key material.

mod algorithm;
mod cache;
mod caller;
mod claims;
mod consent;
mod copied_claims;
pub mod discovery;
mod identity;
mod json_object;
mod jwk;
mod jwk_members;
mod key;
mod key_pem;
pub mod key_set;
mod key_set_error;
mod key_set_fetch;
mod passed_keys;
mod probe;
mod refresh;
mod refreshed;
mod refusal;
pub mod remote;
#[cfg(test)]
mod tests;
mod token;
mod token_clock;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper::HeaderMap;
pub use jsonwebtoken::Algorithm;

pub use self::{
    algorithm::algorithm_named,
    caller::{Caller, Pseudonymizer},
    consent::ConsentClaim,
    copied_claims::CopiedClaims,
    key_set_error::{KeySetError, KeySetWarning},
    key_set_fetch::KeySetFetchError,
    probe::ProbedKeySet,
    refusal::{AuthRefusal, RejectedToken},
};
use self::{
    cache::{TokenCache, TokenDigest},
    identity::{Identity, IdentityKeys},
    key_set::VerificationKeys,
    refreshed::{ChangedAccess, RefreshedKeys},
    remote::RemoteKeySettings,
    token::UnverifiedToken,
};
use crate::{lifecycle::IssuerKeys, telemetry::metrics::Metrics};

/// One `[[identity]]`, checked.
pub struct IdentitySettings {
    /// The only accepted value of a token's `iss`.
    pub issuer: String,
    /// The accepted audiences. The audience claim must contain one of them.
    pub audience: Vec<String>,
    /// The claim that names the audience; `aud` unless configured.
    pub audience_claim: String,
    /// Where the keys come from.
    pub keys: KeySource,
    /// The claim that names the user, or a dotted path to it; `sub` unless configured.
    pub user_claim: String,
    /// Tokens that are valid for longer are refused.
    pub max_lifetime: Option<Duration>,
    /// Tolerance for clock differences when `exp`, `nbf` and `iat` are checked.
    pub leeway: Duration,
}

/// Where the keys of an identity come from.
pub enum KeySource {
    /// From the configuration.
    Fixed(VerificationKeys),
    /// From the issuer, which may change them at any time.
    Remote(Box<RemoteKeySettings>),
}

/// Checks bearer tokens against the configured identities.
pub struct Authenticator {
    identities: Vec<Identity>,
    pseudonymizer: Pseudonymizer,
    cache: TokenCache,
    /// The claims that verdicts copy.
    copied_claims: Vec<Box<str>>,
    /// The claim that says what a user has consented to.
    consent_claim: Option<Box<str>>,
    /// What this authenticator changes of the keys that it shares with the one before it.
    changed_access: Vec<ChangedAccess>,
}

impl Authenticator {
    /// Creates an authenticator.
    ///
    /// Of several identities with the same issuer only the first would be used. The configuration
    /// rejects such duplicates.
    pub fn new(identities: Vec<IdentitySettings>, pseudonymizer: Pseudonymizer) -> Self {
        Self {
            identities: identities.into_iter().map(Identity::new).collect(),
            pseudonymizer,
            cache: TokenCache::default(),
            copied_claims: Vec::new(),
            consent_claim: None,
            changed_access: Vec::new(),
        }
    }

    /// Creates the authenticator that follows this one. It copies claims of these names, has the
    /// same pseudonyms, and keeps what still holds: the fetched keys of each issuer, and the cached
    /// tokens of the issuers of which nothing has changed. Changes nothing of this one.
    pub fn followed_by(
        &self,
        identities: Vec<IdentitySettings>,
        copied_claims: impl IntoIterator<Item = String>,
        consent_claim: Option<&str>,
    ) -> Self {
        let mut next = Self::new(Vec::new(), self.pseudonymizer.clone())
            .copying_claims(copied_claims)
            .copying_consent(consent_claim);
        for settings in identities {
            let before = self.identity(&settings.issuer);
            let (identity, access) = Identity::following(before, settings);
            next.identities.push(identity);
            next.changed_access.extend(access);
        }
        if next.copied_claims == self.copied_claims && next.consent_claim == self.consent_claim {
            next.cache = self.cache.with_keys(|caller, key| {
                let before = self.identity(&caller.issuer)?;
                let after = next.identity(&caller.issuer)?;
                after.judges_as(before).then(|| after.same_key(key))?
            });
        }
        next
    }

    /// Puts into use what changes of the keys that are shared with the authenticator before.
    pub fn come_into_use(&self) {
        self.changed_access.iter().for_each(ChangedAccess::apply);
    }

    /// Also copies the claims of these names into each [`Caller`].
    pub fn copying_claims(self, names: impl IntoIterator<Item = String>) -> Self {
        Self {
            copied_claims: names.into_iter().map(String::into_boxed_str).collect(),
            ..self
        }
    }

    /// Also copies the claim of this name into each [`Caller`], as the user's consent.
    pub fn copying_consent(self, name: Option<&str>) -> Self {
        Self {
            consent_claim: name.map(Into::into),
            ..self
        }
    }

    /// Authenticates the request with these headers.
    ///
    /// Waits only when the token names a key that its issuer may have published since the last
    /// fetch, and then for a few seconds at most. `now` is the wall clock to which `exp`, `nbf` and
    /// `iat` are compared.
    ///
    /// # Errors
    /// The first rule that the token breaks. The signature is verified before any claim is checked
    /// but `iss`, which selects the keys.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Arc<Caller>, RejectedToken> {
        let token = token::bearer_token(headers)?;
        let digest = TokenDigest::of(token);
        match self.cache.find(&digest, now) {
            Some(cached) => cached,
            // Boxed: this path runs once per token, and every request would carry its future.
            None => Box::pin(self.verify(token, digest, now)).await,
        }
    }

    async fn verify(
        &self,
        token: &[u8],
        digest: TokenDigest,
        now: SystemTime,
    ) -> Result<Arc<Caller>, RejectedToken> {
        let token = UnverifiedToken::parse(token)?;
        // Not verified yet: `iss` only selects the keys, which then verify the whole token.
        let issuer = claims::issuer(&token.claims)?;
        let identity = self.identity(issuer).ok_or(AuthRefusal::UnknownIssuer)?;
        let rejected = |refusal| identity.rejected(refusal, &token.claims, now);
        let key = identity.verify(&token, now).await.map_err(rejected)?;
        let checked = identity.check_claims(&token.claims, now);
        // Behind the signature, so that a stranger's tokens say nothing about clocks.
        let refusal = checked.as_ref().err().copied();
        let checked = checked.map_err(rejected);
        let off_by = checked.as_ref().err().and_then(|rejected| rejected.off_by);
        identity.clock.note(&identity.issuer, refusal, off_by);
        let checked = checked?;
        let caller = Arc::new(Caller {
            issuer: Arc::clone(&identity.issuer),
            copied_claims: self.copied_claims(&token).map_err(rejected)?,
            consent: self.consent(&token).map_err(rejected)?,
            pseudonym: self.pseudonymizer.pseudonym(issuer, &checked.user).into(),
            user: Arc::from(checked.user),
            scopes: checked.scopes,
        });
        self.cache.insert(digest, &caller, &key, checked.validity);
        Ok(caller)
    }

    fn copied_claims(
        &self,
        token: &UnverifiedToken<'_>,
    ) -> Result<Option<CopiedClaims>, AuthRefusal> {
        match (&*self.copied_claims, token.signed.split_once('.')) {
            ([], _) | (_, None) => Ok(None),
            (names, Some((_, payload))) => CopiedClaims::of(payload, names),
        }
    }

    fn consent(&self, token: &UnverifiedToken<'_>) -> Result<Option<ConsentClaim>, AuthRefusal> {
        match (&self.consent_claim, token.signed.split_once('.')) {
            (None, _) | (_, None) => Ok(None),
            (Some(name), Some((_, payload))) => ConsentClaim::of(payload, name),
        }
    }

    /// Replaces the configured keys of this issuer. Cached tokens of removed keys are no longer
    /// accepted.
    pub fn change_keys(&self, issuer: &str, keys: VerificationKeys) {
        let identity = self.identity(issuer);
        if let Some(IdentityKeys::Fixed(current)) = identity.map(|identity| &identity.keys) {
            let keys = keys.reusing(&current.load());
            current.store(Arc::new(keys));
        }
    }

    /// Which issuers have keys.
    pub fn issuer_keys(&self) -> IssuerKeys {
        let remote = self.remote_keys().map(|remote| &remote.keys);
        let missing = remote.filter(|keys| keys.fetched().is_none());
        let missing: Vec<_> = missing.map(|keys| Arc::clone(&keys.issuer)).collect();
        IssuerKeys {
            known: self.identities.len().saturating_sub(missing.len()),
            missing,
        }
    }

    /// Fetches the published keys of all issuers, now and in the background, until no authenticator
    /// uses them any more. Keys that are fetched already are left to that.
    ///
    /// Calls `changed` whenever the result of [`Authenticator::issuer_keys`] may have changed.
    pub fn start_fetching(
        &self,
        metrics: &Arc<Metrics>,
        changed: impl Fn() + Clone + Send + Sync + 'static,
    ) {
        for keys in self.remote_keys() {
            keys.start(metrics, changed.clone());
        }
    }

    /// Waits until each issuer's keys were fetched once, or could not be.
    pub async fn first_fetches(&self) {
        for keys in self.remote_keys() {
            keys.first_fetch().await;
        }
    }

    fn identity(&self, issuer: &str) -> Option<&Identity> {
        self.identities.iter().find(|it| *it.issuer == *issuer)
    }

    /// The issuers whose keys are fetched.
    pub fn fetched_issuers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.remote_keys().map(|remote| &remote.keys.issuer)
    }

    fn remote_keys(&self) -> impl Iterator<Item = &Arc<RefreshedKeys>> {
        self.identities.iter().filter_map(|it| match &it.keys {
            IdentityKeys::Fixed(_) => None,
            IdentityKeys::Remote(keys) => Some(keys),
        })
    }
}
