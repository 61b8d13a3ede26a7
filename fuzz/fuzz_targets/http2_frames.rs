//! Arbitrary bytes in arbitrary pieces as an HTTP/2 connection. The guard finds the frames that a
//! plain reading finds, however they are split, and never takes ordinary frames for a flood.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::server::http2::{
    frames::{END_HEADERS, FrameHeader, FrameReader, FrameStep, PREFACE_LENGTH, kind},
    guard::FrameGuard,
};
use liveness_gateway_fuzz::arrival;

const HEADER: usize = 9;
/// So many frames are never a flood, whatever they are.
const FEW_FRAMES: usize = 100;

fuzz_target!(|data: &[u8]| {
    let Some((parts, bytes)) = arrival(data) else {
        return;
    };
    let expected = plain(bytes);
    assert_eq!(headers(&parts), expected.frames);
    for parts in [&parts[..], &[bytes]] {
        let mut guard = FrameGuard::begin();
        if parts.iter().any(|part| guard.read(part).is_err()) {
            let long: usize = expected
                .frames
                .iter()
                .map(|frame| frame.length as usize)
                .sum();
            assert!(expected.frames.len() > FEW_FRAMES || long > 64 * 1024);
            continue;
        }
        assert_eq!(guard.newest_stream(), expected.newest_stream);
        let begun = bytes.len() < PREFACE_LENGTH as usize || expected.open_head;
        assert_eq!(guard.unfinished_head().is_some(), begun);
    }
});

fn headers(parts: &[&[u8]]) -> Vec<FrameHeader> {
    let mut reader = FrameReader::behind_preface();
    let mut headers = Vec::new();
    for part in parts {
        let mut left = *part;
        while let Some((step, rest)) = reader.step(left) {
            assert!(rest.len() < left.len());
            if let FrameStep::Header(header) = step {
                headers.push(header);
            }
            left = rest;
        }
    }
    headers
}

struct PlainFrames {
    frames: Vec<FrameHeader>,
    newest_stream: u32,
    /// The bytes end within a head.
    open_head: bool,
}

fn plain(bytes: &[u8]) -> PlainFrames {
    let mut found = PlainFrames {
        frames: Vec::new(),
        newest_stream: 0,
        open_head: false,
    };
    let mut left = bytes.get(PREFACE_LENGTH as usize..).unwrap_or_default();
    while let Some((header, behind)) = left.split_at_checked(HEADER) {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        };
        let header = FrameHeader {
            length: number(&header[..3]),
            kind: header[3],
            flags: header[4],
            stream: number(&header[5..]) & 0x7fff_ffff,
        };
        found.frames.push(header);
        if header.kind == kind::HEADERS {
            found.newest_stream = found.newest_stream.max(header.stream);
        }
        let in_head =
            header.kind == kind::HEADERS || header.kind == kind::CONTINUATION && found.open_head;
        let payload = behind.get(..header.length as usize);
        if in_head {
            found.open_head = !header.has(END_HEADERS) || payload.is_none();
        }
        left = payload.map_or(&[], |payload| &behind[payload.len()..]);
    }
    found
}
