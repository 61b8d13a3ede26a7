//! Signs a judgement as a compact JWS (RFC 7515) that any JWT library verifies, and inserts it into
//! the response.
//!
//! Failed verifications are signed like passed ones. The `typ` of a verdict keeps it from being
//! accepted as an identity token. No byte of the response is changed but for the one added member.

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
    judge::{Judgement, PassRule},
    key::VerdictSigningKey,
    keyring::{VerdictKeyring, VerdictKeys, jws_header},
};

/// `[verdict]`, checked.
pub struct VerdictSettings {
    /// The keys that sign and that are published.
    pub keys: VerdictKeys,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// Time from `iat` to `exp`.
    pub lifetime: Duration,
    /// The rule of a pass.
    pub rule: PassRule,
    /// Whether a verdict contains the digest of the video.
    pub video_digest: bool,
    /// Names of the claims of the user's token that verdicts repeat. [`crate::auth`] copies them.
    pub copy_claims: Vec<String>,
}

/// Signs verdicts and publishes the keys.
pub struct VerdictSigner {
    keys: VerdictKeyring,
    issuer: String,
    audience: String,
    lifetime: Duration,
    rule: PassRule,
    video_digest: bool,
}

/// The id of a verdict, `jti`: 128 random bits. The evidence of the verdict has the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictId(String);

/// What records say of a verdict that was signed.
pub struct IssuedVerdict {
    /// Its `jti`.
    pub id: VerdictId,
    /// Whether it is a pass.
    pub passed: bool,
    /// Whether the app's backend acknowledged the evidence; `None` if there was none to deliver.
    pub delivered: Option<bool>,
}

/// Why a verdict could not be signed. Neither happens in a working system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerdictSigningError {
    /// The system has no random bytes for the id.
    #[error("the system provides no random bytes")]
    NoRandomness,
    /// The claims could not be serialized or the library did not sign them.
    #[error("signing the verdict failed")]
    Failed,
    /// The response is not an object, so the verdict cannot be inserted.
    #[error("the response to insert the verdict into is not an object")]
    NoObject,
}

/// The facts that a verdict states.
pub struct VerdictInput<'a> {
    /// The id of the verdict.
    pub id: &'a VerdictId,
    /// The user.
    pub user: &'a str,
    /// The issuer of the user's token.
    pub issuer: &'a str,
    /// Whether the response passes, and its scores.
    pub judgement: &'a Judgement,
    /// Whether the scores are left out, because the frontend could read them in the verdict.
    pub scores_hidden: bool,
    /// SHA-256 of the video, if it was computed.
    pub video_sha256: Option<[u8; 32]>,
    /// Whether the app's backend acknowledged the evidence; `None` if there was none to deliver.
    pub delivered: Option<bool>,
    /// The nonce of the request, if it had one.
    pub nonce: Option<&'a str>,
    /// The claims of the user's token that are repeated, as an object.
    pub token_claims: Option<&'a RawValue>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_claims: Option<&'a RawValue>,
}

/// An unfit member of Qiniu's response is `null`. A hidden or unrequested one is absent.
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
    /// Generates a new id.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub fn random() -> Result<Self, VerdictSigningError> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| VerdictSigningError::NoRandomness)?;
        Ok(Self(HEXLOWER.encode(&bytes)))
    }

    /// 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl VerdictSigner {
    /// Prepares the JWS header and the key set.
    pub fn new(settings: VerdictSettings) -> Self {
        let VerdictSettings {
            keys,
            issuer,
            audience,
            lifetime,
            rule,
            video_digest,
            copy_claims: _,
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

    /// Keeps the keys published that signed before a reload.
    pub fn follow(&self, previous: &Self, now: Instant) {
        self.keys.follow(&previous.keys, now);
    }

    /// The rule of a pass.
    pub fn rule(&self) -> &PassRule {
        &self.rule
    }

    /// Whether verdicts need the digest of the video.
    pub fn wants_video_digest(&self) -> bool {
        self.video_digest
    }

    /// The JSON Web Key Set with every key that may have signed a verdict. It is replaced when the
    /// keys change.
    pub fn published(&self) -> &Arc<ArcSwap<Bytes>> {
        self.keys.published()
    }

    /// Replaces the keys. The previous signing key stays published for the verdicts it signed.
    pub fn change_keys(&self, keys: VerdictKeys, now: Instant) {
        self.keys.replace(keys, now);
    }

    /// Unpublishes keys whose verdicts have expired. To be called from time to time.
    pub fn retire_keys(&self, now: Instant) {
        self.keys.retire(now);
    }

    /// Signs a verdict. The result needs no escapes in JSON.
    ///
    /// # Errors
    /// The library did not sign.
    pub fn sign(
        &self,
        input: &VerdictInput<'_>,
        now: SystemTime,
    ) -> Result<String, VerdictSigningError> {
        let active = self.keys.active();
        signed(&active.key, &active.header, &self.claims(input, now))
    }

    /// Signs other claims with the key of verdicts, as a JWS of the type `typ`, which must not be
    /// that of verdicts. The result needs no escapes in JSON.
    ///
    /// # Errors
    /// The library did not sign.
    pub fn sign_claims(
        &self,
        typ: &'static str,
        claims: &impl Serialize,
    ) -> Result<String, VerdictSigningError> {
        let active = self.keys.active();
        signed(&active.key, &jws_header(typ, &active.key), claims)
    }

    /// The `iss` of verdicts.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    fn claims<'a>(&'a self, input: &VerdictInput<'a>, now: SystemTime) -> VerdictClaims<'a> {
        // With a clock before 1970 the verdict is already expired.
        let issued = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let judgement = input.judgement;
        let shown =
            |number: &'a Option<Box<RawValue>>| (!input.scores_hidden).then_some(number.as_deref());
        VerdictClaims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: input.user,
            sub_iss: input.issuer,
            iat: issued,
            exp: issued.saturating_add(self.lifetime.as_secs()),
            jti: input.id.as_str(),
            liveness: LivenessClaim {
                passed: judgement.passed,
                action_verify: judgement.action_verify,
                score: shown(&judgement.score),
                threshold: judgement.threshold.name(),
                threshold_value: shown(&judgement.threshold_value),
                maxspoofing: shown(&judgement.maxspoofing),
                serverlogid: judgement.serverlogid.as_deref(),
                video_sha256: input.video_sha256.map(|digest| HEXLOWER.encode(&digest)),
                evidence: input.delivered.map(|delivered| match delivered {
                    true => "delivered",
                    false => "undelivered",
                }),
            },
            nonce: input.nonce,
            token_claims: input.token_claims,
        }
    }
}

/// A compact JWS with this encoded header.
fn signed(
    key: &VerdictSigningKey,
    header: &str,
    claims: &impl Serialize,
) -> Result<String, VerdictSigningError> {
    let claims = serde_json::to_vec(claims).map_err(|_| VerdictSigningError::Failed)?;
    let mut token = format!("{header}.{}", BASE64URL_NOPAD.encode(&claims));
    let signature = key.sign(token.as_bytes());
    let signature = signature.ok_or(VerdictSigningError::Failed)?;
    token.push('.');
    BASE64URL_NOPAD.encode_append(signature.as_ref(), &mut token);
    Ok(token)
}

/// Inserts a signed verdict into a response as its last member, `verdict`.
///
/// `response` must be valid JSON without a member of that name, and `verdict` must need no escapes.
///
/// # Errors
/// `response` is not an object.
pub fn insert_verdict(
    mut response: Vec<u8>,
    verdict: &str,
) -> Result<Vec<u8>, VerdictSigningError> {
    let (brace, comma) = insertion(&response).ok_or(VerdictSigningError::NoObject)?;
    let member = format!("{comma}\"verdict\":\"{verdict}\"");
    response.splice(brace..brace, member.into_bytes());
    Ok(response)
}

/// The position of an object's closing brace, and the separator that a further member needs.
fn insertion(json: &[u8]) -> Option<(usize, &'static str)> {
    let last = |bytes: &[u8]| bytes.iter().rposition(|byte| !b" \t\r\n".contains(byte));
    let brace = last(json).filter(|at| json.get(*at) == Some(&b'}'))?;
    let before = json.get(..brace)?;
    let comma = match before.get(last(before)?)? {
        b'{' => "",
        _ => ",",
    };
    Some((brace, comma))
}

#[cfg(test)]
mod tests;
