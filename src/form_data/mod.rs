//! Forms as browsers and apps send them, `multipart/form-data` (RFC 7578, RFC 2046 section 5.1),
//! read while they arrive.
//!
//! [`reader`] finds the parts in a body that comes in pieces, and can pause and resume at any byte.
//! [`part`] reads the header of a part. Content is passed on as slices of the pieces, and never
//! copied or held; only headers are, and they are wiped. Relies on [`crate::parameters`]. Knows
//! nothing about what a part means.

pub mod part;
pub mod reader;

/// Maximum size of a part's header, in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// Maximum number of parts of a form.
pub const MAX_PARTS: usize = 100;

/// Why bytes are not a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// They end before the last boundary. Also if another boundary was announced.
    #[error("the form ends before its last boundary")]
    Incomplete,
    /// A line ends without a carriage return.
    #[error("a line of the form does not end with CR LF")]
    LineEnd,
    /// Something else than the end of the line follows a boundary.
    #[error("a boundary of the form is followed by something else than the end of its line")]
    Boundary,
    /// A header field that can't be read in one way.
    #[error("a part of the form has a malformed header")]
    Head,
    /// A header field that must occur once.
    #[error("a part of the form has a header field twice")]
    RepeatedField,
    /// A header that is larger than [`MAX_HEAD`].
    #[error("a part of the form has a header of more than {MAX_HEAD} bytes")]
    LongHead,
    /// No `Content-Disposition: form-data` with a name.
    #[error("a part of the form has no name")]
    NoName,
    /// More than [`MAX_PARTS`].
    #[error("the form has more than {MAX_PARTS} parts")]
    TooManyParts,
}

/// What separates the parts of a form: 1 to 70 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(Box<[u8]>);

impl Boundary {
    /// `None` if this is no boundary (RFC 2046 section 5.1.1).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
        let fits = (1..=70).contains(&text.len()) && text.iter().all(allowed);
        (fits && !text.ends_with(b" ")).then(|| Self(text.into()))
    }
}

#[cfg(test)]
mod tests;
