//! Secrets as a type that can't be printed: no `Debug`, `Display` or `Serialize`, wiped when dropped.
//!
//! [`Secret::reveal`] is the one way to the bytes, so that a search for it finds every use.

use zeroize::Zeroizing;

/// A key or shared secret, held as the bytes it is.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves. Never pass them to anything that logs or formats.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}
