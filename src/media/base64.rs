//! Standard base64 (RFC 4648 section 4, with padding), checked while it arrives and without decoding it.

use super::VideoFinding;
use crate::json::letters::all_letters;

/// A decoded video at the most: Qiniu's limit, 20 MiB.
pub const MAX_VIDEO: u64 = 20 * 1024 * 1024;
/// The same in characters of base64.
const MAX_CHARACTERS: u64 = MAX_VIDEO.div_ceil(3) * 4;

const DATA_PREFIX: &[u8] = b"data:";

/// A check under way.
#[derive(Debug, Default)]
pub struct Base64Check {
    start: Vec<u8>,
    characters: u64,
    padding: u8,
    wrong: bool,
}

impl Base64Check {
    /// Takes the next characters.
    pub fn feed(&mut self, text: &[u8]) {
        self.count(text);
        // A `=` in front of others is left among the characters, where it is as wrong as any stranger.
        let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
        let (characters, _) = text.split_at(text.len().saturating_sub(padding));
        self.wrong |= !all_letters(characters) || (self.padding > 0 && !characters.is_empty());
        self.padding = self
            .padding
            .saturating_add(u8::try_from(padding).unwrap_or(u8::MAX));
    }

    /// Takes characters that are known to be letters, all of them.
    pub fn feed_letters(&mut self, text: &[u8]) {
        self.count(text);
        self.wrong |= self.padding > 0 && !text.is_empty();
    }

    fn count(&mut self, text: &[u8]) {
        let missing = DATA_PREFIX.len().saturating_sub(self.start.len());
        self.start.extend(text.iter().take(missing));
        self.characters = self.characters.saturating_add(text.len() as u64);
    }

    /// What is wrong already, so that the rest need not be awaited.
    ///
    /// # Errors
    /// The finding.
    pub fn so_far(&self) -> Result<(), VideoFinding> {
        if self.start == DATA_PREFIX {
            Err(VideoFinding::DataUrl)
        } else if self.wrong
            && (self.start.len() == DATA_PREFIX.len() || !DATA_PREFIX.starts_with(&self.start))
        {
            Err(VideoFinding::NotBase64)
        } else if self.characters > MAX_CHARACTERS {
            Err(VideoFinding::TooLarge)
        } else {
            Ok(())
        }
    }

    /// Says that the text is over; the length of the decoded video in bytes.
    ///
    /// # Errors
    /// The finding.
    pub fn finish(&self) -> Result<u64, VideoFinding> {
        self.so_far()?;
        if self.characters == 0 {
            return Err(VideoFinding::Empty);
        }
        if self.wrong || self.padding > 2 || !self.characters.is_multiple_of(4) {
            return Err(VideoFinding::NotBase64);
        }
        let length = (self.characters / 4 * 3).saturating_sub(u64::from(self.padding));
        if length > MAX_VIDEO {
            Err(VideoFinding::TooLarge)
        } else {
            Ok(length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::VideoFinding, Base64Check, MAX_VIDEO};
    use proptest::prelude::*;

    fn check(parts: &[&[u8]]) -> Result<u64, VideoFinding> {
        let mut check = Base64Check::default();
        parts.iter().for_each(|part| check.feed(part));
        check.finish()
    }

    #[test]
    fn each_finding() {
        for (text, wanted) in [
            ("", Err(VideoFinding::Empty)),
            ("AAAA", Ok(3)),
            ("AAA=", Ok(2)),
            ("AA==", Ok(1)),
            ("A===", Err(VideoFinding::NotBase64)),
            ("====", Err(VideoFinding::NotBase64)),
            ("AAAA====", Err(VideoFinding::NotBase64)),
            ("AAA", Err(VideoFinding::NotBase64)),
            ("AA=A", Err(VideoFinding::NotBase64)),
            ("AA A", Err(VideoFinding::NotBase64)),
            ("AA-_", Err(VideoFinding::NotBase64)),
            ("AAA\n", Err(VideoFinding::NotBase64)),
            ("data:video/mp4;base64,AAAA", Err(VideoFinding::DataUrl)),
            ("dataAAAA", Ok(6)),
        ] {
            assert_eq!(check(&[text.as_bytes()]), wanted, "{text}");
            assert_eq!(
                check(&text.as_bytes().chunks(1).collect::<Vec<_>>()),
                wanted,
                "{text}"
            );
        }
    }

    #[test]
    fn twenty_mebibytes_pass_and_one_byte_more_does_not() {
        let whole = vec![b'A'; 27_962_024];
        assert_eq!(check(&[&whole, b"AAA="]), Ok(MAX_VIDEO));
        assert_eq!(check(&[&whole, b"AAAA"]), Err(VideoFinding::TooLarge));
        let mut early = Base64Check::default();
        early.feed(&whole);
        early.feed(b"AAAAAAAA");
        assert_eq!(early.so_far(), Err(VideoFinding::TooLarge));
    }

    proptest! {
        #[test]
        fn agrees_with_a_decoder(text in "[A-Za-z0-9+/=_ ]{0,40}", split in 1usize..9) {
            let mut lenient = data_encoding::Specification::new();
            lenient.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
            lenient.padding = Some('=');
            lenient.check_trailing_bits = false;
            let decoded = lenient.encoding().unwrap().decode(text.as_bytes()).ok().map(|bytes| bytes.len() as u64);
            let ours = check(&text.as_bytes().chunks(split).collect::<Vec<_>>()).ok();
            // data-encoding takes concatenated padded texts; one text has its padding at its end alone.
            let concatenated = text.trim_end_matches('=').contains('=');
            prop_assert_eq!(ours, decoded.filter(|length| *length > 0 && !concatenated));
        }
    }
}
