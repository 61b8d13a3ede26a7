//! The two endpoints behind the signature: fields in, envelope out.
//!
//! The order is Qiniu's as far as it is known: the body's form, each parameter, the session, the
//! video. A verify that names a session spends it whatever comes of it. Unknown members are ignored.
//! Never looks at what a video shows.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;
use serde_json::{Map, Value};

use super::{
    codes,
    ledger::{Ledger, Now},
    mint::{self, Album, Serial, Wanted},
    sessions::{NotIssued, Sessions},
    video::{self, Fault},
};

/// Fewest and most actions there can be.
const CODE_LENGTHS: std::ops::RangeInclusive<u64> = 1..=3;

/// One of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    SessionCode,
    Verify,
}

impl Call {
    /// The endpoint at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v2/actionliveness/sessioncode" => Some(Self::SessionCode),
            "/v2/actionliveness/verify" => Some(Self::Verify),
            _ => None,
        }
    }
}

/// The system gave no randomness.
#[derive(Debug)]
pub(super) struct NoRandomness;

/// What the endpoints work on.
pub(super) struct Desk {
    sessions: Mutex<Sessions>,
    album: Album,
}

impl Desk {
    /// Opens without sessions; draws the pictures.
    pub(super) fn open() -> Self {
        Self {
            sessions: Mutex::default(),
            album: Album::new(),
        }
    }

    /// Answers a call whose signature was good. The answer's HTTP status is 200.
    ///
    /// # Errors
    /// [`NoRandomness`], which is the machine's fault.
    pub(super) fn answer(
        &self,
        call: Call,
        body: &[u8],
        now: Now,
        ledger: &Ledger,
    ) -> Result<Vec<u8>, NoRandomness> {
        let serial = serial()?;
        let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else {
            return Ok(mint::error(codes::NOT_JSON, serial));
        };
        let answered = match call {
            Call::SessionCode => self.issue(&fields, now, serial)?,
            Call::Verify => self
                .verify(&fields, now)
                .map(|wanted| self.album.verified(ledger.scenario(), wanted, serial)),
        };
        Ok(answered.unwrap_or_else(|code| mint::error(code, serial)))
    }

    fn issue(
        &self,
        fields: &Map<String, Value>,
        now: Now,
        serial: Serial,
    ) -> Result<Result<Vec<u8>, u32>, NoRandomness> {
        let (fewest, most) = match code_lengths(fields) {
            Ok(lengths) => lengths,
            Err(code) => return Ok(Err(code)),
        };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match sessions.issue(now.instant, fewest, most) {
            Ok(issued) => Ok(Ok(mint::session(&issued, serial))),
            Err(NotIssued::Full) => Ok(Err(codes::BUSY)),
            Err(NotIssued::NoRandomness) => Err(NoRandomness),
        }
    }

    fn verify(&self, fields: &Map<String, Value>, now: Now) -> Result<Wanted, u32> {
        let session = text(fields, "session_id", codes::SESSION_ID_FORMAT);
        // Before any other parameter can be found wrong: a session is spent by every outcome.
        let was_live = session.is_ok_and(|id| {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.spend(id, now.instant)
        });
        session?;
        let video = text(fields, "video_base64", codes::VIDEO_FORMAT)?;
        let wanted = wanted(fields)?;
        if !was_live {
            return Err(codes::SESSION_LAPSE);
        }
        video::check(video).map_err(|fault| match fault {
            Fault::Unusable => codes::NO_VIDEO,
            Fault::TooLong => codes::VIDEO_TOO_LONG,
        })?;
        Ok(wanted)
    }
}

fn serial() -> Result<Serial, NoRandomness> {
    let mut log_id = [0; 4];
    let mut face = [0; 15];
    rand::fill(&mut log_id)
        .and_then(|()| rand::fill(&mut face))
        .map_err(|_| NoRandomness)?;
    Ok(Serial {
        log_id: u32::from_be_bytes(log_id),
        face,
    })
}

/// A string that must be there; `malformed` is the code for anything but a string.
fn text<'a>(fields: &'a Map<String, Value>, name: &str, malformed: u32) -> Result<&'a str, u32> {
    match fields.get(name) {
        None | Some(Value::Null) => Err(codes::PARAMETER_MISSING),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(malformed),
    }
}

fn code_lengths(fields: &Map<String, Value>) -> Result<(usize, usize), u32> {
    let length = |name, default, malformed| match fields.get(name) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .filter(|length| CODE_LENGTHS.contains(length))
            .and_then(|length| usize::try_from(length).ok())
            .ok_or(malformed),
    };
    let fewest = length("min_code_length", 1, codes::MIN_CODE_LENGTH_FORMAT)?;
    let most = length("max_code_length", 3, codes::MAX_CODE_LENGTH_FORMAT)?;
    if fewest > most {
        Err(codes::CODE_LENGTHS)
    } else {
        Ok((fewest, most))
    }
}

/// Reads `face_field`: names joined by commas, without blanks, none twice.
fn wanted(fields: &Map<String, Value>) -> Result<Wanted, u32> {
    let mut wanted = Wanted::default();
    let names = match fields.get("face_field") {
        None => return Ok(wanted),
        Some(Value::String(names)) => names,
        Some(_) => return Err(codes::FACE_FIELD_FORMAT),
    };
    for name in names.split(',') {
        let slot = match name {
            "spoofing" => &mut wanted.spoofing,
            "quality" => &mut wanted.quality,
            _ => return Err(codes::FACE_FIELD_FORMAT),
        };
        if std::mem::replace(slot, true) {
            return Err(codes::FACE_FIELD_FORMAT);
        }
    }
    Ok(wanted)
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
