//! Why a request's token was not accepted: one variant per reason, so that metrics and tests can tell them apart.
//!
//! Nothing in here ever holds a byte of the token, of a key or of a claim's value: every text is a constant.

use std::borrow::Cow;

/// Why there is no [`Caller`](super::Caller).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthRefusal {
    /// No `Authorization` header, or `Bearer` with nothing behind it.
    MissingToken,
    /// A scheme other than `Bearer`.
    WrongScheme,
    /// More than one `Authorization` header.
    DuplicateHeader,
    /// Over 8 KiB.
    TokenTooLong,
    /// Not a signed token: wrong alphabet, wrong number of parts, not base64url, not JSON objects, no `alg`.
    Malformed,
    /// `iss` is none of the configured issuers.
    UnknownIssuer,
    /// The issuer's keys are not known, or whether they are the newest can't be found out: not the token's fault.
    KeysUnavailable,
    /// `kid` names no key of the issuer.
    UnknownKey,
    /// `alg` is unknown, is not on the issuer's list, or does not belong to the key's type.
    AlgorithmNotAllowed,
    /// No fitting key made this signature.
    BadSignature,
    /// `exp` has passed.
    Expired,
    /// `nbf` lies ahead.
    NotYetValid,
    /// `iat` lies ahead.
    IssuedInFuture,
    /// `aud` holds none of the configured audiences.
    WrongAudience,
    /// `typ` names something other than a JWT or an access token.
    WrongType,
    /// A `crit` header: it asks for an extension, and this gateway knows none.
    UnknownCrit,
    /// One claim is given twice.
    DuplicateClaim,
    /// One parameter of the token's header is given twice.
    DuplicateHeaderParameter,
    /// The claim has the wrong type or a value outside its limits.
    BadClaim(&'static str),
    /// The claim is required and not there.
    MissingClaim(&'static str),
}

impl AuthRefusal {
    /// The label of the reason in metrics: a closed set, whatever a token holds.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::WrongScheme => "wrong_scheme",
            Self::DuplicateHeader => "duplicate_header",
            Self::TokenTooLong => "token_too_long",
            Self::Malformed => "malformed",
            Self::UnknownIssuer => "unknown_issuer",
            Self::KeysUnavailable => "no_keys",
            Self::UnknownKey => "unknown_key",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::WrongAudience => "wrong_audience",
            Self::WrongType => "wrong_type",
            Self::UnknownCrit => "unknown_crit",
            Self::DuplicateClaim => "duplicate_claim",
            Self::DuplicateHeaderParameter => "duplicate_header_parameter",
            Self::BadClaim(_) => "bad_claim",
            Self::MissingClaim(_) => "missing_claim",
        }
    }

    /// The code of the answer: `malformed_request` (400), `not_ready` (503), or one of the three 401s.
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
            | Self::WrongAudience
            | Self::WrongType
            | Self::UnknownCrit
            | Self::DuplicateClaim
            | Self::DuplicateHeaderParameter
            | Self::BadClaim(_)
            | Self::MissingClaim(_) => "invalid_token",
        }
    }

    /// A sentence for the person who made the request; safe to send to anybody.
    pub fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::MissingToken => "an Authorization header with a Bearer token is needed",
            Self::WrongScheme => "the Authorization header must use the Bearer scheme",
            Self::DuplicateHeader => "more than one Authorization header",
            Self::TokenTooLong => "the token is longer than 8 KiB",
            Self::Malformed => "not a signed JWT in compact form",
            Self::UnknownIssuer => "the token's issuer is not accepted here",
            Self::KeysUnavailable => "the keys of the token's issuer can't be had at the moment",
            Self::UnknownKey => "the token's kid names no key of its issuer",
            Self::AlgorithmNotAllowed => {
                "the token's algorithm is not accepted for its issuer and key"
            }
            Self::BadSignature => "the token's signature does not fit",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInFuture => "the token claims to be issued in the future",
            Self::WrongAudience => "the token is meant for another audience",
            Self::WrongType => "the token's typ is neither JWT nor at+jwt",
            Self::UnknownCrit => "the token's crit asks for an extension that is not known here",
            Self::DuplicateClaim => "the token gives a claim twice",
            Self::DuplicateHeaderParameter => "the token's header gives a parameter twice",
            Self::BadClaim(claim) => {
                return Cow::Owned(format!("the token's {claim} claim is not fit for use"));
            }
            Self::MissingClaim(claim) => {
                return Cow::Owned(format!("the token lacks the {claim} claim"));
            }
        })
    }
}
