//! Why a request was not authenticated: one variant per reason, for metrics and tests.
//!
//! Never holds a byte of the token, of a key or of a claim's value: every text is a constant.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use crate::{closed_set::ClosedSet, telemetry::metrics::labels::AuthReason};

/// Why there is no [`Caller`](super::Caller).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthRefusal {
    /// No `Authorization` header, or `Bearer` without a token.
    MissingToken,
    /// A scheme other than `Bearer`.
    WrongScheme,
    /// More than one `Authorization` header.
    DuplicateHeader,
    /// The token is longer than 8 KiB.
    TokenTooLong,
    /// Not a signed token: wrong alphabet, wrong number of parts, not base64url, not JSON objects,
    /// or no `alg`.
    Malformed,
    /// `iss` is not a configured issuer.
    UnknownIssuer,
    /// The issuer's keys are unavailable, or a fetch for the token's `kid` failed. The token may
    /// be good.
    KeysUnavailable,
    /// `kid` does not name a key of the issuer.
    UnknownKey,
    /// `alg` is unknown, is not allowed for the issuer, or does not fit the type of the key.
    AlgorithmNotAllowed,
    /// No key of the issuer made this signature.
    BadSignature,
    /// `exp` is in the past.
    Expired,
    /// `nbf` is in the future.
    NotYetValid,
    /// `iat` is in the future.
    IssuedInFuture,
    /// The token is valid for longer than the operator accepts.
    LifetimeTooLong,
    /// The audience claim contains none of the configured audiences.
    WrongAudience,
    /// `typ` is neither a JWT nor an access token.
    WrongType,
    /// The token has a `crit` header: it requires an extension, and none is supported.
    UnknownCrit,
    /// A claim occurs twice.
    DuplicateClaim,
    /// A parameter of the token's header occurs twice.
    DuplicateHeaderParameter,
    /// The claims that verdicts or audit records repeat are longer than 1 KiB together.
    CopiedClaimsTooLong,
    /// The claim has the wrong type or a value out of range.
    BadClaim(&'static str),
    /// The claim is required and missing.
    MissingClaim(&'static str),
}

/// A refused token, or the lack of one, with what the operator may know of it and the caller must
/// not be told.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{refusal}")]
pub struct RejectedToken {
    /// Why it was refused.
    #[source]
    pub refusal: AuthRefusal,
    /// The configured issuer that it names. Whether that issuer made it is another question.
    pub issuer: Option<Arc<str>>,
    /// How far its time is off, where that is why.
    pub off_by: Option<Duration>,
}

impl From<AuthRefusal> for RejectedToken {
    fn from(refusal: AuthRefusal) -> Self {
        Self {
            refusal,
            issuer: None,
            off_by: None,
        }
    }
}

impl AuthRefusal {
    /// The word of the reason in metrics and records.
    pub fn reason(&self) -> &'static str {
        self.label().as_str()
    }

    /// The reason, from a closed set.
    pub fn label(&self) -> AuthReason {
        match self {
            Self::MissingToken => AuthReason::MissingToken,
            Self::WrongScheme => AuthReason::WrongScheme,
            Self::DuplicateHeader => AuthReason::DuplicateHeader,
            Self::TokenTooLong => AuthReason::TokenTooLong,
            Self::Malformed => AuthReason::Malformed,
            Self::UnknownIssuer => AuthReason::UnknownIssuer,
            Self::KeysUnavailable => AuthReason::NoKeys,
            Self::UnknownKey => AuthReason::UnknownKey,
            Self::AlgorithmNotAllowed => AuthReason::AlgorithmNotAllowed,
            Self::BadSignature => AuthReason::BadSignature,
            Self::Expired => AuthReason::Expired,
            Self::NotYetValid => AuthReason::NotYetValid,
            Self::IssuedInFuture => AuthReason::IssuedInFuture,
            Self::LifetimeTooLong => AuthReason::LifetimeTooLong,
            Self::WrongAudience => AuthReason::WrongAudience,
            Self::WrongType => AuthReason::WrongType,
            Self::UnknownCrit => AuthReason::UnknownCrit,
            Self::DuplicateClaim => AuthReason::DuplicateClaim,
            Self::DuplicateHeaderParameter => AuthReason::DuplicateHeaderParameter,
            Self::CopiedClaimsTooLong => AuthReason::CopiedClaimsTooLong,
            Self::BadClaim(_) => AuthReason::BadClaim,
            Self::MissingClaim(_) => AuthReason::MissingClaim,
        }
    }

    /// The claim that is wrong or missing, if it is one of a fixed name.
    pub fn claim(&self) -> Option<&'static str> {
        match self {
            Self::BadClaim(claim) | Self::MissingClaim(claim) => Some(claim),
            Self::MissingToken
            | Self::WrongScheme
            | Self::DuplicateHeader
            | Self::TokenTooLong
            | Self::Malformed
            | Self::UnknownIssuer
            | Self::KeysUnavailable
            | Self::UnknownKey
            | Self::AlgorithmNotAllowed
            | Self::BadSignature
            | Self::Expired
            | Self::NotYetValid
            | Self::IssuedInFuture
            | Self::LifetimeTooLong
            | Self::WrongAudience
            | Self::WrongType
            | Self::UnknownCrit
            | Self::DuplicateClaim
            | Self::DuplicateHeaderParameter
            | Self::CopiedClaimsTooLong => None,
        }
    }

    /// The error code of the response: `malformed_request` (400), `not_ready` (503), or one of the
    /// three codes of a 401.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DuplicateHeader => "malformed_request",
            Self::MissingToken | Self::WrongScheme => "missing_token",
            Self::Expired => "expired_token",
            Self::KeysUnavailable => "not_ready",
            Self::TokenTooLong
            | Self::Malformed
            | Self::UnknownIssuer
            | Self::UnknownKey
            | Self::AlgorithmNotAllowed
            | Self::BadSignature
            | Self::NotYetValid
            | Self::IssuedInFuture
            | Self::LifetimeTooLong
            | Self::WrongAudience
            | Self::WrongType
            | Self::UnknownCrit
            | Self::DuplicateClaim
            | Self::DuplicateHeaderParameter
            | Self::CopiedClaimsTooLong
            | Self::BadClaim(_)
            | Self::MissingClaim(_) => "invalid_token",
        }
    }

    /// An explanation for the client. It is safe to send to anybody.
    pub fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::MissingToken => "an Authorization header with a Bearer token is required",
            Self::WrongScheme => "the Authorization header must use the Bearer scheme",
            Self::DuplicateHeader => "the request has more than one Authorization header",
            Self::TokenTooLong => "the token is longer than 8 KiB",
            Self::Malformed => "the token is not a signed JWT in compact form",
            Self::UnknownIssuer => "the token's issuer is not accepted",
            Self::KeysUnavailable => "the keys of the token's issuer are currently unavailable",
            Self::UnknownKey => "the token's kid does not name a key of its issuer",
            Self::AlgorithmNotAllowed => {
                "the token's algorithm is not accepted for its issuer and key"
            }
            Self::BadSignature => "the token's signature is invalid",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInFuture => "the token's iat is in the future",
            Self::LifetimeTooLong => "the token is valid for longer than is accepted here",
            Self::WrongAudience => "the token is for another audience",
            Self::WrongType => "the token's typ is neither JWT nor at+jwt",
            Self::UnknownCrit => "the token's crit requires an extension that is not supported",
            Self::DuplicateClaim => "the token has a duplicate claim",
            Self::DuplicateHeaderParameter => "the token's header has a duplicate parameter",
            Self::CopiedClaimsTooLong => "the token's claims that are copied are longer than 1 KiB",
            Self::BadClaim(claim) => {
                return Cow::Owned(format!("the token's {claim} claim is invalid"));
            }
            Self::MissingClaim(claim) => {
                return Cow::Owned(format!("the token has no {claim} claim"));
            }
        })
    }
}

impl fmt::Display for AuthRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

impl Error for AuthRefusal {}
