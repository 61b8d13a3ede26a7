//! The signature algorithms of tokens: their names, and the length of a secret for each.
//!
//! Relies on `jsonwebtoken` for the algorithms themselves. Never decides which of them an issuer or
//! a key allows.

use std::str::FromStr as _;

use jsonwebtoken::Algorithm;

/// The algorithms of a shared secret, each with the length of its hash in bytes. A shorter secret
/// must not be used with it (RFC 7518 section 3.2).
const HMAC: [(Algorithm, usize); 3] = [
    (Algorithm::HS256, 32),
    (Algorithm::HS384, 48),
    (Algorithm::HS512, 64),
];

/// The algorithm with exactly this name. `none` is not among them.
///
/// `Ed25519` (RFC 9864) and the older `EdDSA` name the same algorithm, because no other Edwards
/// curve is supported.
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        _ => Algorithm::from_str(name).ok(),
    }
}

/// Whether the algorithm works with a shared secret.
pub(super) fn is_hmac(algorithm: Algorithm) -> bool {
    min_secret(algorithm).is_some()
}

/// Minimum length of a secret for the algorithm, in bytes; `None` if it works with public keys.
pub(super) fn min_secret(algorithm: Algorithm) -> Option<usize> {
    let known = HMAC.iter().find(|(known, _)| *known == algorithm);
    known.map(|(_, length)| *length)
}

/// The algorithms for which a secret of this many bytes is long enough.
pub(super) fn algorithms_of_secret(length: usize) -> Vec<Algorithm> {
    let allowed = HMAC.iter().filter(|(_, min)| *min <= length);
    allowed.map(|(algorithm, _)| *algorithm).collect()
}
