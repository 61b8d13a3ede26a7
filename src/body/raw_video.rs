//! A video sent as it is (`Content-Type: video/mp4`), which takes a quarter fewer bytes to upload.
//!
//! Writes the JSON that Qiniu expects around it, and encodes the video as base64 chunk by chunk
//! while it arrives. Never holds the video itself.

use std::fmt;

use zeroize::Zeroizing;

use super::{
    BodyRefusal, BodyRules, attempt::json, incoming::IncomingBody, nonce::Nonce, pieces::BodyPieces,
};
use crate::{
    json::sink::{CapturedValue, CutSink},
    media::{
        VideoFinding,
        base64::{MAX_VIDEO, encode},
    },
};

use crate::wipe::WipedVec;

/// Upper bound of the JSON around a video, in bytes.
const AROUND: u64 = 4 * 1024;

/// Bytes of a video that are encoded as one piece: a multiple of three, and 64 KiB of base64, so
/// that the piece is wiped ([`crate::wipe::WipedPieces`]).
const ENCODED_AT_ONCE: usize = 48 * 1024;

/// The members that a raw video's header fields carry. They were checked to need no JSON escapes.
pub struct RawVideoFields {
    /// Value of `Liveness-Session`.
    pub session: Zeroizing<String>,
    /// Value of `Liveness-Face-Field`.
    pub face_field: Option<String>,
    /// Value of `Liveness-Nonce`.
    pub nonce: Option<Nonce>,
}

/// Keeps session ids out of logs.
impl fmt::Debug for RawVideoFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawVideoFields")
    }
}

/// The memory that a video of `bytes` bytes takes once it is encoded, in bytes.
pub(super) fn held(bytes: u64) -> u64 {
    bytes.div_ceil(3).saturating_mul(4).saturating_add(AROUND)
}

/// Receives the video into `pieces`, and returns the encoded members beside it.
///
/// # Errors
/// The body was refused; the rest of it is unread.
pub(super) async fn receive(
    incoming: &mut IncomingBody<'_>,
    video: &RawVideoFields,
    rules: &BodyRules,
    pieces: &mut BodyPieces,
) -> Result<WipedVec, BodyRefusal> {
    if incoming.declared().is_some_and(|length| length > MAX_VIDEO) {
        return Err(BodyRefusal::Video(VideoFinding::TooLarge));
    }
    let session = match &mut pieces.attempt {
        Some(attempt) => attempt.open(&video.session),
        None => json(Some(&video.session)),
    };
    pieces.session_so_far()?;
    pieces.append(WipedVec::new(b"{\"session_id\":".to_vec()));
    pieces.append(session);
    pieces.append(WipedVec::new(b",\"video_base64\":\"".to_vec()));
    pieces.video_begins();
    let mut encoder = Base64Encoder::default();
    while let Some(chunk) = incoming.next().await? {
        if incoming.count() > MAX_VIDEO {
            return Err(BodyRefusal::Video(VideoFinding::TooLarge));
        }
        pieces.arrived(incoming.count(), incoming.declared());
        encoder.encode(&chunk, pieces);
        if let Some(digest) = &mut pieces.digest {
            digest.bytes(&chunk);
        }
    }
    encoder.finish(pieces);
    if incoming.count() == 0 {
        return Err(BodyRefusal::Video(VideoFinding::Empty));
    }
    let face_field = video.face_field.as_deref();
    let face_field = face_field.filter(|_| rules.face_field.is_some());
    pieces.append(WipedVec::new(match face_field {
        Some(face_field) => format!("\",\"face_field\":\"{face_field}\"").into(),
        None => b"\"".to_vec(),
    }));
    pieces.end(false);
    pieces.append(WipedVec::new(b"}".to_vec()));
    let face_field = face_field.map_or(CapturedValue::Absent, |text| {
        CapturedValue::String(text.to_owned())
    });
    let value = |slot| match rules.face_field == Some(slot) {
        true => &face_field,
        false => CapturedValue::absent(),
    };
    Ok(rules.asked(value, video.nonce.as_ref()))
}

/// Encodes chunks of any size as base64.
#[derive(Default)]
pub(super) struct Base64Encoder {
    /// Up to two bytes of an incomplete group of three.
    rest: Vec<u8>,
}

impl Base64Encoder {
    pub(super) fn encode(&mut self, mut bytes: &[u8], pieces: &mut BodyPieces) {
        if !self.rest.is_empty() {
            let missing = 3_usize.saturating_sub(self.rest.len()).min(bytes.len());
            let (first, others) = bytes.split_at(missing);
            self.rest.extend_from_slice(first);
            bytes = others;
            if self.rest.len() < 3 {
                return;
            }
            pieces.append_video(WipedVec::new(encode(&self.rest)));
            self.rest.clear();
        }
        let (groups, rest) = bytes.split_at(bytes.len() - bytes.len() % 3);
        for part in groups.chunks(ENCODED_AT_ONCE) {
            pieces.append_video(WipedVec::new(encode(part)));
        }
        self.rest.extend_from_slice(rest);
    }

    pub(super) fn finish(self, pieces: &mut BodyPieces) {
        if !self.rest.is_empty() {
            pieces.append_video(WipedVec::new(encode(&self.rest)));
        }
    }
}
