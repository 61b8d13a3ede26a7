//! The nonce of a `verify`: a text that the app's backend chooses for one transaction, and finds
//! again in the verdict.
//!
//! It comes as a JSON member or as a header field. It never goes upstream. It has no `Debug`, so it
//! can't get into a log by accident.

/// Name of the JSON member.
pub(super) const MEMBER: &str = "nonce";
/// Length of a nonce, in bytes.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=128;

/// A nonce: 16 to 128 unreserved characters (RFC 3986 section 2.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Box<str>);

impl Nonce {
    /// What a nonce must be, for an error after its name.
    pub const FORM: &str = "must be 16 to 128 of the characters A-Z a-z 0-9 . _ ~ -";

    /// `None` if the text is no nonce.
    pub fn parse(text: &str) -> Option<Self> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let fits = LENGTH.contains(&text.len()) && text.bytes().all(unreserved);
        fits.then(|| Self(text.into()))
    }

    /// The text. It needs no escapes in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Nonce;

    #[test]
    fn a_nonce_has_16_to_128_unreserved_characters() {
        for good in [
            "AZaz09._~-AZaz09",
            "0000000000000000",
            &"~".repeat(16),
            &"n".repeat(128),
        ] {
            assert!(Nonce::parse(good).is_some_and(|nonce| nonce.as_str() == good));
        }
        let long = "n".repeat(129);
        for bad in [
            "",
            "AZaz09._~-AZaz0",
            &long,
            "0123456789abcdef ",
            " 0123456789abcdef",
            "0123456789abcde+",
            "0123456789abcde/",
            "0123456789abcde=",
            "0123456789abcde\"",
            "0123456789abcde\\",
            "0123456789abcde%",
            "0123456789abcde\n",
            "0123456789abcde\0",
            "0123456789abcdé",
            "０１２３４５６７",
        ] {
            assert!(Nonce::parse(bad).is_none(), "{bad}");
        }
    }
}
