//! What a refused token means: to the caller, and in the log.
//!
//! Relies on [`AuthRefusal`] for code and detail. No match here has a catch-all arm. What anybody
//! can send is told at `info`; what only an issuer can make, at `warn`, since a configuration is
//! then the likely cause. Never contains a part of a token.

use std::borrow::Cow;

use tracing::Level;

use crate::{
    auth::{AuthRefusal, RejectedToken},
    relay::problem::{ProblemDetails, ProblemField},
};

/// What the caller gets.
pub(super) fn auth(refusal: &AuthRefusal) -> ProblemDetails {
    let (code, detail) = (refusal.code(), refusal.detail());
    match refusal {
        AuthRefusal::DuplicateHeader => super::malformed(detail),
        AuthRefusal::KeysUnavailable => ProblemDetails::new(503, code, detail).retry_after(5),
        // RFC 6750 section 3.1: without a token, the challenge names only the scheme.
        AuthRefusal::MissingToken | AuthRefusal::WrongScheme => {
            let challenge = ProblemField::Challenge("Bearer".into());
            ProblemDetails::new(401, code, detail).field(challenge)
        }
        AuthRefusal::TokenTooLong
        | AuthRefusal::Malformed
        | AuthRefusal::UnknownIssuer
        | AuthRefusal::UnknownKey
        | AuthRefusal::AlgorithmNotAllowed
        | AuthRefusal::BadSignature
        | AuthRefusal::Expired
        | AuthRefusal::NotYetValid
        | AuthRefusal::IssuedInFuture
        | AuthRefusal::LifetimeTooLong
        | AuthRefusal::WrongAudience
        | AuthRefusal::WrongType
        | AuthRefusal::UnknownCrit
        | AuthRefusal::DuplicateClaim
        | AuthRefusal::DuplicateHeaderParameter
        | AuthRefusal::CopiedClaimsTooLong
        | AuthRefusal::BadClaim(_)
        | AuthRefusal::MissingClaim(_) => {
            let description = detail.replace(['"', '\\'], "'");
            let challenge =
                format!("Bearer error=\"invalid_token\", error_description=\"{description}\"");
            ProblemDetails::new(401, code, detail).field(ProblemField::Challenge(challenge))
        }
    }
}

/// What the log says, if anything. That a token has expired or comes from the future is told by
/// the authenticator, and that there are no keys by what fetches them.
pub(super) fn logged_token(rejected: &RejectedToken) -> Option<(Level, Cow<'static, str>)> {
    let (level, help) = match rejected.refusal {
        AuthRefusal::UnknownIssuer => (
            Level::INFO,
            "if users of yours get 401, compare the `iss` of their tokens with identity.issuer",
        ),
        AuthRefusal::UnknownKey => (
            Level::INFO,
            "if users of yours get 401, bring identity.jwks_file up to date, or publish that key",
        ),
        AuthRefusal::BadSignature => (
            Level::INFO,
            "if users of yours get 401, the identity's secret or key is not the one that its issuer \
             signs with: replace it",
        ),
        AuthRefusal::AlgorithmNotAllowed => (
            Level::INFO,
            "if users of yours get 401, compare the `alg` of their tokens with identity.algorithms",
        ),
        AuthRefusal::WrongType | AuthRefusal::UnknownCrit => (
            Level::INFO,
            "if users of yours get 401, let them send access tokens",
        ),
        AuthRefusal::WrongAudience => (
            Level::WARN,
            "compare the audience in the issuer's tokens with identity.audience; another claim than \
             `aud` is named by identity.audience_claim",
        ),
        AuthRefusal::LifetimeTooLong => (
            Level::WARN,
            "let the issuer make tokens for a shorter time, or raise identity.max_lifetime",
        ),
        AuthRefusal::CopiedClaimsTooLong => (
            Level::WARN,
            "shorten verdict.copy_claims, or let the issuer write less into these claims",
        ),
        // Without an issuer, it is no token of ours.
        AuthRefusal::BadClaim(_) | AuthRefusal::MissingClaim(_) if rejected.issuer.is_some() => (
            Level::WARN,
            "let the issuer write that claim, or name the one to use: identity.user_claim, \
             identity.audience_claim",
        ),
        AuthRefusal::BadClaim(_)
        | AuthRefusal::MissingClaim(_)
        | AuthRefusal::MissingToken
        | AuthRefusal::WrongScheme
        | AuthRefusal::DuplicateHeader
        | AuthRefusal::TokenTooLong
        | AuthRefusal::Malformed
        | AuthRefusal::KeysUnavailable
        | AuthRefusal::Expired
        | AuthRefusal::NotYetValid
        | AuthRefusal::IssuedInFuture
        | AuthRefusal::DuplicateClaim
        | AuthRefusal::DuplicateHeaderParameter => return None,
    };
    let detail = rejected.refusal.detail();
    let text = match &rejected.issuer {
        Some(issuer) => format!("a token of {issuer} was refused: {detail}; {help}"),
        None => format!("a token was refused: {detail}; {help}"),
    };
    Some((level, text.into()))
}
