//! Where each HTTP/2 frame of a byte stream begins, read from the frame headers alone (RFC 9113
//! section 4.1).
//!
//! A [`FrameReader`] takes the stream in pieces of any size. Payloads are skipped by arithmetic, so
//! an upload costs a few instructions a frame. Relies on h2 for the validity of frames, and never
//! looks into a payload.

/// Bytes before the first frame of a client (RFC 9113 section 3.4).
pub const PREFACE_LENGTH: u32 = 24;
/// Bytes of a frame header.
pub const HEADER_LENGTH: u32 = 9;

/// The types of frames (RFC 9113 section 6) that are told apart.
pub mod kind {
    #![allow(missing_docs, reason = "the names are those of the RFC")]

    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// A flag of DATA and HEADERS frames.
pub const END_STREAM: u8 = 0x1;
/// A flag of HEADERS and CONTINUATION frames.
pub const END_HEADERS: u8 = 0x4;
/// A flag of DATA and HEADERS frames.
pub const PADDED: u8 = 0x8;

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Length of the payload, in bytes.
    pub length: u32,
    /// The type of the frame, a [`kind`] or an unknown one.
    pub kind: u8,
    /// Its flags; their meaning depends on the type.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
}

impl FrameHeader {
    fn parse([a, b, c, kind, flags, stream @ ..]: [u8; HEADER_LENGTH as usize]) -> Self {
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            // The first bit is reserved.
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }

    /// Whether all of these flags are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// What [`FrameReader::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStep {
    /// So many bytes of the preface or of a payload.
    Skipped(u32),
    /// A part of a frame header.
    Partial,
    /// The end of a frame header.
    Header(FrameHeader),
}

/// The position in a stream of frames, at any byte.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Bytes of the preface or of the payload that are still to come.
    skip: u32,
    header: [u8; HEADER_LENGTH as usize],
    /// How many bytes of the header are known.
    known: usize,
}

impl FrameReader {
    /// At the first byte of a client's stream.
    pub fn behind_preface() -> Self {
        Self {
            skip: PREFACE_LENGTH,
            ..Self::default()
        }
    }

    /// Whether the stream is between two frames.
    pub fn at_boundary(&self) -> bool {
        self.skip == 0 && self.known == 0
    }

    /// Whether the rest of the preface or of a payload is still to come.
    pub fn in_payload(&self) -> bool {
        self.skip > 0
    }

    /// Reads up to the next end of a payload or of a header, and returns the rest of the bytes.
    /// `None` if there are no bytes.
    pub fn step<'b>(&mut self, bytes: &'b [u8]) -> Option<(FrameStep, &'b [u8])> {
        if bytes.is_empty() {
            return None;
        }
        if self.skip > 0 {
            let skipped = self
                .skip
                .min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            self.skip -= skipped;
            let rest = bytes.get(skipped as usize..).unwrap_or_default();
            return Some((FrameStep::Skipped(skipped), rest));
        }
        // Nearly every header arrives in one piece.
        if self.known == 0
            && let Some((header, rest)) = bytes.split_first_chunk()
        {
            return Some((self.header(*header), rest));
        }
        let missing = self.header.len() - self.known;
        let (piece, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        for (to, from) in self.header.iter_mut().skip(self.known).zip(piece) {
            *to = *from;
        }
        self.known += piece.len();
        let step = match self.known == self.header.len() {
            true => {
                let header = std::mem::take(&mut self.header);
                self.header(header)
            }
            false => FrameStep::Partial,
        };
        Some((step, rest))
    }

    fn header(&mut self, bytes: [u8; HEADER_LENGTH as usize]) -> FrameStep {
        let header = FrameHeader::parse(bytes);
        (self.known, self.skip) = (0, header.length);
        FrameStep::Header(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(reader: &mut FrameReader, mut bytes: &[u8]) -> Vec<FrameHeader> {
        let mut headers = Vec::new();
        while let Some((step, rest)) = reader.step(bytes) {
            assert!(rest.len() < bytes.len(), "each step takes a byte");
            if let FrameStep::Header(header) = step {
                headers.push(header);
            }
            bytes = rest;
        }
        headers
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_split() {
        let mut bytes = vec![b'P'; 24];
        bytes.extend(
            b"\0\0\x06\x04\0\0\0\0\0SETTIN\0\0\0\x04\x01\0\0\0\0\0\0\x03\0\x01\x80\0\0\x05abc",
        );
        let expected =
            [(6, 4, 0, 0), (0, 4, 1, 0), (3, 0, 1, 5)].map(|(length, kind, flags, stream)| {
                FrameHeader {
                    length,
                    kind,
                    flags,
                    stream,
                }
            });
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut reader = FrameReader::behind_preface();
                let mut found = steps(&mut reader, &bytes[..first]);
                found.extend(steps(&mut reader, &bytes[first..second]));
                found.extend(steps(&mut reader, &bytes[second..]));
                assert_eq!(found, expected, "{first}, {second}");
                assert!(reader.at_boundary());
            }
        }
        for end in 1..bytes.len() {
            let mut reader = FrameReader::behind_preface();
            steps(&mut reader, &bytes[..end]);
            let boundary = [24, 24 + 15, 24 + 15 + 9].contains(&end);
            assert_eq!(reader.at_boundary(), boundary, "{end}");
        }
    }

    #[test]
    fn the_longest_payload_is_skipped() {
        let mut reader = FrameReader::default();
        let header = steps(&mut reader, &[0xff; 9]);
        assert_eq!(header[0].length, 0xff_ffff);
        assert_eq!(header[0].stream, 0x7fff_ffff);
        steps(&mut reader, &vec![0; 0xff_fffe]);
        assert!(reader.in_payload());
        steps(&mut reader, &[0]);
        assert!(reader.at_boundary());
    }
}
