//! Why a text yields no keys, and which faults of a fetched key set the operator should know.
//!
//! Never holds key material or another part of the text, except labels and key ids.

use std::fmt;

use jsonwebtoken::Algorithm;

use super::{jwk::RejectedJwk, key::KeyError};

/// Maximum number of keys in a fetched set: each takes time to check.
pub(super) const MAX_FETCHED_KEYS: usize = 256;

/// Why a text yields no keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// A PEM text in place of a secret: with a public key as the secret, anybody could sign.
    #[error("a PEM text, not a secret; use `public_key_file` for a public key")]
    PemSecret,
    /// Not text.
    #[error("not PEM text (DER? convert it with `openssl pkey -pubin -inform DER -in KEY.der`)")]
    NoText,
    /// No line begins a PEM block.
    #[error("no PEM block")]
    NoPemBlock,
    /// A private key with this label. It must be removed from here, so the message names it.
    #[error(
        "a private key (`{0}`); give the gateway the public one: `openssl pkey -in KEY.pem -pubout`"
    )]
    PrivateKey(String),
    /// Two blocks with these labels, so that the intended one is not clear.
    #[error("more than one PEM block (`{0}`, then `{1}`); keep the one that signs the tokens")]
    SeveralPemBlocks(String, String),
    /// A block with this label that cannot be decoded.
    #[error("a damaged PEM block: no base64, or no `-----END {0}-----` behind it")]
    DamagedPem(String),
    /// A block with another label.
    #[error("a `{0}`; expected `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`")]
    UnexpectedPem(String),
    /// A certificate that cannot be parsed.
    #[error(
        "an unreadable certificate; extract its key: `openssl x509 -in CERT.pem -pubkey -noout`"
    )]
    InvalidCertificate,
    /// Not a JSON object with an array `keys`. The parser's message is left out: it can quote the
    /// text.
    #[error("not a JSON Web Key Set `{{\"keys\": [{{…}}]}}` (line {line}, column {column})")]
    NoKeySet {
        /// Where the parser stopped, from 1.
        line: usize,
        /// Where the parser stopped, from 1.
        column: usize,
    },
    /// A fetched set with too many elements.
    #[error("more than {MAX_FETCHED_KEYS} keys")]
    TooManyKeys,
    /// A set without elements.
    #[error("no keys")]
    NoKeys,
    /// A set of which no element can be used.
    #[error("no usable key: {}", list(.0))]
    NoUsableKey(Vec<RejectedJwk>),
    /// A set from a file with an invalid key.
    #[error(transparent)]
    InvalidJwk(#[from] RejectedJwk),
    /// A single key that is not accepted.
    #[error(transparent)]
    InvalidKey(#[from] KeyError),
    /// An empty list of allowed algorithms.
    #[error("it lists no algorithm; leave it out to allow all that fit the keys")]
    NoAlgorithm,
    /// A listed algorithm that no key can be used with.
    #[error("{0:?} fits none of the keys")]
    UnusedAlgorithm(Algorithm),
    /// A fetched set without a key for any of the listed algorithms.
    #[error("no key for any of `algorithms`")]
    NoKeyForAlgorithms,
}

/// A fault of a fetched set that is otherwise usable.
#[derive(Debug, PartialEq, Eq)]
pub enum KeySetWarning {
    /// An element that yields no key, though it should.
    LeftOut(RejectedJwk),
    /// An algorithm of the operator's that no key can be used with.
    NoKeyFor(Algorithm),
}

impl fmt::Display for KeySetWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut(rejected) => write!(f, "left out {rejected}"),
            Self::NoKeyFor(algorithm) => {
                write!(f, "no key for {algorithm:?}, which `algorithms` allows")
            }
        }
    }
}

fn list(rejected: &[RejectedJwk]) -> String {
    let texts: Vec<_> = rejected.iter().map(RejectedJwk::to_string).collect();
    texts.join("; ")
}
