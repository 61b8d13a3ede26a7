//! What both harnesses, this one and the siege, know of the API: a session id in a response, a
//! picture that should not be in one, and a video to send. Never holds a real person's picture.

use std::{fs, io, path::Path};

use serde_json::Value;

/// A longer string in a response is a picture; in bytes.
const PICTURE: usize = 4096;

/// The session id in a response to `sessioncode`.
pub(crate) fn session_id(body: &[u8]) -> Option<String> {
    let response: Value = serde_json::from_slice(body).ok()?;
    Some(response["result"]["session_id"].as_str()?.to_owned())
}

/// Whether a picture is left in a response.
pub(crate) fn has_picture(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() > PICTURE,
        Value::Array(values) => values.iter().any(has_picture),
        Value::Object(members) => members.iter().any(|(name, value)| {
            (name == "pic" && value.as_str().is_none_or(|text| !text.is_empty()))
                || has_picture(value)
        }),
        _ => false,
    }
}

/// A real video of no person, padded to `size` bytes by a `free` box (ISO/IEC 14496-12, section
/// 8.1.2).
///
/// # Errors
/// The sample can't be read.
pub(crate) fn video(size: usize) -> io::Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut video = fs::read(folder.join("tests/data/h264-moov-first.mp4"))?;
    let padding = size.saturating_sub(video.len()).max(8);
    video.extend(u32::try_from(padding).unwrap_or(u32::MAX).to_be_bytes());
    video.extend(b"free");
    video.resize(size.max(video.len()), 0xa5);
    Ok(video)
}
