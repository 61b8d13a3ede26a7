//! A judgement as a signed token: a compact JWS (RFC 7515) that any JWT library checks, and the key set to check it with.
//!
//! Failures are signed like passes. Its `typ` keeps it from being taken for a token that says who somebody is.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    VerdictKeys, VerdictSettings,
    judge::{Judgement, PassRule},
    keyring::VerdictKeyring,
};

/// Signs verdicts and publishes the keys.
pub struct VerdictSigner {
    keys: VerdictKeyring,
    issuer: String,
    audience: String,
    lifetime: Duration,
    rule: PassRule,
    video_digest: bool,
}

/// The name of a verdict, `jti`: 128 random bits. The evidence that belongs to it has the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictId(String);

/// The system gave no randomness, or would not sign.
#[derive(Debug, PartialEq, Eq)]
pub struct VerdictSigningError;

/// What a verdict says.
pub struct VerdictInput<'a> {
    /// Its name.
    pub id: &'a VerdictId,
    /// Whom it is about: the user,
    pub user: &'a str,
    /// and who vouched for the user.
    pub issuer: &'a str,
    /// What came out.
    pub judgement: &'a Judgement,
    /// Leaves out what a frontend must not learn; it could read it here.
    pub scores_hidden: bool,
    /// SHA-256 of the video, where it was taken.
    pub video_sha256: Option<[u8; 32]>,
    /// Whether the app's backend took the pictures, where there were any for it.
    pub delivered: Option<bool>,
}

#[derive(Serialize)]
struct VerdictClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    sub_iss: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    liveness: LivenessClaim<'a>,
}

/// What was not fit to be judged is `null`; what is hidden or was not asked for is not there at all.
#[derive(Serialize)]
struct LivenessClaim<'a> {
    passed: bool,
    action_verify: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<Option<&'a RawValue>>,
    threshold: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold_value: Option<Option<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxspoofing: Option<Option<&'a RawValue>>,
    serverlogid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
}

impl VerdictId {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn random() -> Result<Self, VerdictSigningError> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| VerdictSigningError)?;
        Ok(Self(HEXLOWER.encode(&bytes)))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl VerdictSigner {
    /// Makes the header and the key set ready.
    pub fn new(settings: VerdictSettings) -> Self {
        let VerdictSettings {
            keys,
            issuer,
            audience,
            lifetime,
            rule,
            video_digest,
        } = settings;
        Self {
            keys: VerdictKeyring::new(keys, lifetime),
            issuer,
            audience,
            lifetime,
            rule,
            video_digest,
        }
    }

    /// What a pass is.
    pub fn rule(&self) -> &PassRule {
        &self.rule
    }

    /// Whether videos are hashed for verdicts.
    pub fn wants_video_digest(&self) -> bool {
        self.video_digest
    }

    /// The JSON Web Key Set with every key that verdicts may have been signed with; what it holds follows the keys.
    pub fn published(&self) -> &Arc<ArcSwap<Bytes>> {
        self.keys.published()
    }

    /// Signs with other keys from now on. The one that signed so far stays published for the verdicts that it signed.
    pub fn change_keys(&self, keys: VerdictKeys, now: Instant) {
        self.keys.replace(keys, now);
    }

    /// Withdraws keys that signed long ago; to be called every now and then.
    pub fn retire_keys(&self, now: Instant) {
        self.keys.retire(now);
    }

    /// The signed verdict, in letters that JSON needs no escapes for.
    ///
    /// # Errors
    /// The system would not sign.
    pub fn sign(
        &self,
        statement: &VerdictInput<'_>,
        now: SystemTime,
    ) -> Result<String, VerdictSigningError> {
        let claims = self.claims(statement, now);
        let claims = serde_json::to_vec(&claims).map_err(|_| VerdictSigningError)?;
        let signer = self.keys.signer();
        let mut token = format!("{}.{}", signer.header, BASE64URL_NOPAD.encode(&claims));
        let signature = signer
            .key
            .sign(token.as_bytes())
            .ok_or(VerdictSigningError)?;
        token.push('.');
        BASE64URL_NOPAD.encode_append(signature.as_ref(), &mut token);
        Ok(token)
    }

    fn claims<'a>(&'a self, statement: &VerdictInput<'a>, now: SystemTime) -> VerdictClaims<'a> {
        // A clock before 1970 makes a verdict that has expired.
        let issued = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let judgement = statement.judgement;
        let shown = |number: &'a Option<Box<RawValue>>| {
            (!statement.scores_hidden).then_some(number.as_deref())
        };
        VerdictClaims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: statement.user,
            sub_iss: statement.issuer,
            iat: issued,
            exp: issued.saturating_add(self.lifetime.as_secs()),
            jti: statement.id.as_str(),
            liveness: LivenessClaim {
                passed: judgement.passed,
                action_verify: judgement.action_verify,
                score: shown(&judgement.score),
                threshold: judgement.threshold.name(),
                threshold_value: shown(&judgement.threshold_value),
                maxspoofing: shown(&judgement.maxspoofing),
                serverlogid: judgement.serverlogid.as_deref(),
                video_sha256: statement
                    .video_sha256
                    .map(|digest| HEXLOWER.encode(&digest)),
                evidence: statement.delivered.map(|delivered| match delivered {
                    true => "delivered",
                    false => "undelivered",
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests;
