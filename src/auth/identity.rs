//! One identity in use: the issuer, its keys, and the rules for its tokens.
//!
//! Relies on [`super::claims`] for single rules, and on the keys for signatures.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use super::{
    IdentitySettings, KeySource,
    claims::{self, TokenValidity},
    json_object::JsonObject,
    key::VerificationKey,
    key_set::VerificationKeys,
    refreshed::{ChangedAccess, RefreshedKeys},
    refusal::{AuthRefusal, RejectedToken},
    token::UnverifiedToken,
    token_clock::TokenClock,
};

/// One identity in use. All of its callers share the issuer's name.
pub(super) struct Identity {
    pub(super) issuer: Arc<str>,
    audience: Vec<String>,
    audience_claim: String,
    user_claim: String,
    max_lifetime: Option<Duration>,
    leeway: Duration,
    pub(super) keys: IdentityKeys,
    pub(super) clock: TokenClock,
}

/// What the claims of a token say, now that they have been checked.
pub(super) struct CheckedClaims<'a> {
    pub(super) user: Cow<'a, str>,
    pub(super) scopes: Vec<Box<str>>,
    pub(super) validity: TokenValidity,
}

/// The keys of an identity.
pub(super) enum IdentityKeys {
    Fixed(ArcSwap<VerificationKeys>),
    Remote(Arc<RefreshedKeys>),
}

impl Identity {
    /// An identity that uses nothing of an earlier one.
    pub(super) fn new(settings: IdentitySettings) -> Self {
        Self::following(None, settings).0
    }

    /// The identity of the same issuer after a reload: it has the keys that were fetched. Also what
    /// changes of these when it comes into use.
    pub(super) fn following(
        before: Option<&Self>,
        settings: IdentitySettings,
    ) -> (Self, Option<ChangedAccess>) {
        let issuer = match before {
            Some(before) => Arc::clone(&before.issuer),
            None => Arc::from(settings.issuer.as_str()),
        };
        let before = before.map(|before| &before.keys);
        let (keys, access) = match (settings.keys, before) {
            (KeySource::Fixed(keys), _) => {
                // Keys of their own: a token ends with its key, whatever an older request holds.
                (IdentityKeys::Fixed(ArcSwap::from_pointee(keys)), None)
            }
            (KeySource::Remote(remote), Some(IdentityKeys::Remote(before))) => {
                let (keys, access) = before.followed_by(*remote);
                (IdentityKeys::Remote(keys), access)
            }
            (KeySource::Remote(remote), _) => {
                let keys = RefreshedKeys::new(Arc::clone(&issuer), *remote);
                (IdentityKeys::Remote(keys), None)
            }
        };
        let identity = Self {
            keys,
            issuer,
            audience: settings.audience,
            audience_claim: settings.audience_claim,
            user_claim: settings.user_claim,
            max_lifetime: settings.max_lifetime,
            leeway: settings.leeway,
            clock: TokenClock::default(),
        };
        (identity, access)
    }

    /// Whether a token of a given key means the same to both.
    pub(super) fn judges_as(&self, other: &Self) -> bool {
        self.audience == other.audience
            && self.audience_claim == other.audience_claim
            && self.user_claim == other.user_claim
            && self.max_lifetime == other.max_lifetime
            && self.leeway == other.leeway
    }

    /// The one of the current keys that is the same.
    pub(super) fn same_key(&self, key: &VerificationKey) -> Option<Arc<VerificationKey>> {
        match &self.keys {
            IdentityKeys::Fixed(keys) => keys.load().same(key),
            IdentityKeys::Remote(remote) => remote.keys.fetched()?.keys.same(key),
        }
    }

    /// Returns the key that made the token's signature.
    pub(super) async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        now: SystemTime,
    ) -> Result<Arc<VerificationKey>, AuthRefusal> {
        match &self.keys {
            IdentityKeys::Fixed(keys) => keys.load().verify(token).map(Arc::clone),
            IdentityKeys::Remote(remote) => {
                // No fetch for a token that would be refused anyway.
                let worth_a_fetch = || self.check_claims(&token.claims, now).is_ok();
                remote.keys.verify(token, worth_a_fetch).await
            }
        }
    }

    /// A token that names this issuer and was refused.
    pub(super) fn rejected(
        &self,
        refusal: AuthRefusal,
        claims: &JsonObject,
        now: SystemTime,
    ) -> RejectedToken {
        let validity = TokenValidity::from_claims(claims, self.leeway).ok();
        RejectedToken {
            refusal,
            issuer: Some(Arc::clone(&self.issuer)),
            off_by: validity.and_then(|validity| validity.off_by(refusal, now)),
        }
    }

    /// Checks all claims but `iss`.
    pub(super) fn check_claims<'a>(
        &self,
        claims: &'a JsonObject,
        now: SystemTime,
    ) -> Result<CheckedClaims<'a>, AuthRefusal> {
        claims::check_audience(claims, &self.audience_claim, &self.audience)?;
        let validity = TokenValidity::from_claims(claims, self.leeway)?.at_most(self.max_lifetime);
        validity.check(now)?;
        Ok(CheckedClaims {
            user: claims::user(claims, &self.user_claim)?,
            scopes: claims::scopes(claims)?,
            validity,
        })
    }
}
