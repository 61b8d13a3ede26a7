//! Who is calling: the bearer token of a request, checked, becomes a [`Caller`].

pub mod keys;

use std::{sync::Arc, time::Duration};

pub use jsonwebtoken::Algorithm;

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

/// An authenticated user behind a frontend.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's issuer.
    pub issuer: Arc<str>,
    /// The value of the user claim.
    pub user: Arc<str>,
    /// The scopes the token grants.
    pub scopes: Vec<Box<str>>,
}
