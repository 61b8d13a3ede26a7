//! Tokens that the gateways of the tests accept, or refuse for what is changed in them.

use std::time::{Duration, SystemTime};

use liveness_gateway::generate::{TokenClaims, development_token};

use super::{ISSUER, SECRET};

pub(crate) fn bearer(user: &str) -> String {
    format!("Bearer {}", token(user, None))
}

pub(crate) fn token(user: &str, scope: Option<&str>) -> String {
    token_with(SECRET, |claims| {
        claims.subject = user;
        claims.scope = scope;
    })
}

/// A token of `user-1` by this secret, with claims that are changed like this.
pub(crate) fn token_with<'a>(secret: &str, change: impl FnOnce(&mut TokenClaims<'a>)) -> String {
    let mut claims = TokenClaims {
        issuer: ISSUER,
        audience: "liveness",
        subject: "user-1",
        scope: None,
        now: SystemTime::now(),
        lifetime: Duration::from_secs(600),
    };
    change(&mut claims);
    development_token(secret.as_bytes(), &claims).unwrap()
}
