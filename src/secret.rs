//! Secrets, as a type that can't be printed: it has no `Debug`, `Display` or `Serialize`, and is
//! wiped when dropped.
//!
//! [`Secret::reveal`] is the only access to the bytes, so a search for it finds every use.

use zeroize::Zeroizing;

/// A key or a shared secret, as bytes.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes. Never pass them to code that logs or formats.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}
