//! Random access to the bytes of a video whose base64 is inside a JSON body held in pieces, without
//! decoding or copying all of it.
//!
//! Relies on the text having passed [`super::base64`]. JSON may write its characters as escapes
//! (PHP writes every `/` as `\/`), so offsets can't be computed, and reads should be roughly in
//! order: each continues from the position of the last. Allocates nothing.

use bytes::Bytes;

use super::base64::value;

/// The base64 of a video inside a body.
pub struct HeldVideo<'a> {
    pieces: &'a [Bytes],
    /// Decoded length, in bytes.
    length: u64,
    /// Position of the last read.
    place: TextPosition,
    /// Position of the first character.
    start: TextPosition,
    /// Whether some characters are written as escapes.
    escaped: bool,
}

/// A position in the text.
#[derive(Clone, Copy, Default)]
struct TextPosition {
    piece: usize,
    offset: usize,
    /// Characters before it.
    characters: u64,
}

impl<'a> HeldVideo<'a> {
    /// The text begins at offset `start` of the body that consists of `pieces`, and decodes to
    /// `length` bytes.
    pub fn new(pieces: &'a [Bytes], start: usize, length: u64, escaped: bool) -> Self {
        let mut held = Self {
            pieces,
            length,
            place: TextPosition::default(),
            start: TextPosition::default(),
            escaped: false,
        };
        held.skip(start as u64);
        held.start = TextPosition {
            characters: 0,
            ..held.place
        };
        held.place = held.start;
        held.escaped = escaped;
        held
    }

    /// Decoded length of the video, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `into` with the video's bytes from `offset` on; `false` if the video is too short.
    pub fn read(&mut self, offset: u64, into: &mut [u8]) -> bool {
        let end = offset.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return false;
        }
        let first = offset / 3 * 4;
        if first < self.place.characters {
            self.place = self.start;
        }
        self.skip(first.saturating_sub(self.place.characters));
        self.decode(offset % 3, into).is_some()
    }

    /// Decodes from the current position, which does not move. Omits the first `skip` bytes of the
    /// first group of three.
    fn decode(&self, skip: u64, into: &mut [u8]) -> Option<()> {
        let mut place = self.place;
        let mut skip = usize::try_from(skip).ok()?;
        let mut rest = into;
        while !rest.is_empty() {
            let mut group = 0_u32;
            for _ in 0..4 {
                // Padding has no bytes, and these are never read.
                group = group << 6 | value(self.next(&mut place)?).unwrap_or_default();
            }
            let [_, bytes @ ..] = group.to_be_bytes();
            let wanted = bytes.get(skip..)?;
            let taken = wanted.len().min(rest.len());
            let (now, later) = rest.split_at_mut_checked(taken)?;
            now.copy_from_slice(wanted.get(..taken)?);
            rest = later;
            skip = 0;
        }
        Some(())
    }

    /// Moves forward by `characters`, or to the end.
    fn skip(&mut self, mut characters: u64) {
        while characters > 0 {
            let Some(run) = self.run(self.place) else {
                return;
            };
            // Limits the search to the distance: each byte of a plain run is one character.
            let most = usize::try_from(characters).unwrap_or(usize::MAX);
            let run = run.get(..most.max(2)).unwrap_or(run);
            let escape = match self.escaped {
                true => memchr::memchr(b'\\', run),
                false => None,
            };
            let plain = match escape {
                Some(0) if run.starts_with(b"\\/") => {
                    // PHP writes every `/` like this: a row of them is skipped at once.
                    let most = usize::try_from(characters).unwrap_or(usize::MAX);
                    let (pairs, _) = run.as_chunks::<2>();
                    let row = pairs.iter().take(most).take_while(|pair| *pair == b"\\/");
                    let row = row.count();
                    self.place.offset += row * 2;
                    self.place.characters += row as u64;
                    self.settle();
                    characters -= row as u64;
                    continue;
                }
                Some(0) => {
                    let mut place = self.place;
                    if self.next(&mut place).is_none() {
                        return;
                    }
                    self.place = place;
                    self.settle();
                    characters -= 1;
                    continue;
                }
                Some(at) => at,
                None => run.len(),
            };
            let taken = plain.min(usize::try_from(characters).unwrap_or(usize::MAX));
            self.place.offset += taken;
            self.place.characters += taken as u64;
            characters -= taken as u64;
            self.settle();
        }
    }

    /// Moves a position at the end of a piece to the start of the next one.
    fn settle(&mut self) {
        while self
            .pieces
            .get(self.place.piece)
            .is_some_and(|piece| self.place.offset >= piece.len())
        {
            self.place.piece += 1;
            self.place.offset = 0;
        }
    }

    /// The rest of the piece at `place`.
    fn run(&self, place: TextPosition) -> Option<&'a [u8]> {
        self.pieces
            .get(place.piece)?
            .get(place.offset..)
            .filter(|run| !run.is_empty())
    }

    /// The character at `place`, which moves past it.
    fn next(&self, place: &mut TextPosition) -> Option<u8> {
        let byte = self.raw(place)?;
        place.characters += 1;
        if byte != b'\\' || !self.escaped {
            return Some(byte);
        }
        match self.raw(place)? {
            b'u' => {
                let mut unit = 0_u32;
                for _ in 0..4 {
                    unit = unit << 4 | char::from(self.raw(place)?).to_digit(16)?;
                }
                u8::try_from(unit).ok()
            }
            byte => Some(byte),
        }
    }

    fn raw(&self, place: &mut TextPosition) -> Option<u8> {
        loop {
            let piece = self.pieces.get(place.piece)?;
            if let Some(byte) = piece.get(place.offset) {
                place.offset += 1;
                return Some(*byte);
            }
            place.piece += 1;
            place.offset = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use proptest::prelude::*;

    use super::*;
    use crate::media::mp4;

    /// A body with the video: with JSON around it, escaped in one of three ways, split into pieces.
    fn body(video: &[u8], escape: usize, split: usize) -> (Vec<Bytes>, usize) {
        let front = "{\"video_base64\":\"";
        let mut text = front.to_owned();
        for (at, character) in BASE64.encode(video).chars().enumerate() {
            match (escape, character) {
                (1, '/') => text.push_str("\\/"),
                (2, _) if at % 5 == 0 => text.push_str(&format!("\\u{:04X}", u32::from(character))),
                _ => text.push(character),
            }
        }
        text.push_str("\"}");
        let pieces = text
            .as_bytes()
            .chunks(split)
            .map(Bytes::copy_from_slice)
            .collect();
        (pieces, front.len())
    }

    proptest! {
        #[test]
        fn any_part_equals_what_a_decoder_returns(
            video in proptest::collection::vec(any::<u8>(), 1..400),
            escape in 0_usize..3,
            split in 1_usize..50,
            asked in proptest::collection::vec((0_usize..420, 0_usize..60), 1..20),
        ) {
            let (pieces, start) = body(&video, escape, split);
            let mut held = HeldVideo::new(&pieces, start, video.len() as u64, escape > 0);
            for (offset, length) in asked {
                let mut into = vec![0; length];
                let there = held.read(offset as u64, &mut into);
                let wanted = video.get(offset..offset + length);
                prop_assert_eq!(there, wanted.is_some());
                if let Some(wanted) = wanted {
                    prop_assert_eq!(&into[..], wanted);
                }
            }
        }
    }

    #[test]
    fn real_files_are_read_inside_a_body() {
        for name in [
            "h264-moov-first",
            "h264-moov-last",
            "h264-fragmented",
            "hevc",
        ] {
            let path = format!("{}/tests/data/{name}.mp4", env!("CARGO_MANIFEST_DIR"));
            let file = std::fs::read(path).unwrap();
            for escape in 0..3 {
                let (pieces, start) = body(&file, escape, 1000);
                let mut held = HeldVideo::new(&pieces, start, file.len() as u64, escape > 0);
                let read = mp4::read(held.length(), |offset, into| held.read(offset, into));
                assert_eq!(read, mp4::read_slice(&file), "{name}");
                assert!(read.is_ok(), "{name}");
            }
        }
    }
}
