//! The two endpoints behind the signature check: JSON fields in, response body out.
//!
//! The order of checks is Qiniu's as far as it is known: JSON, each parameter, the session, the
//! video. A verify that names a session spends it, whatever its outcome. Unknown members are
//! ignored. It never looks at the pictures of a video.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;
use serde_json::{Map, Value};

use super::{
    error_code::ErrorCode,
    handle::{EmulatorHandle, EmulatorTime},
    pictures::SamplePictures,
    responses::{self, FaceFields, ResponseIds},
    scenario::Scenario,
    sessions::{EmulatedSessions, IssueError, NoRandomBytes},
    video::{self, VideoError},
};

/// Range of `min_code_length` and `max_code_length`.
const CODE_LENGTHS: std::ops::RangeInclusive<u64> = 1..=3;

/// One of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EmulatedEndpoint {
    SessionCode,
    Verify,
}

impl EmulatedEndpoint {
    /// The endpoint at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v2/actionliveness/sessioncode" => Some(Self::SessionCode),
            "/v2/actionliveness/verify" => Some(Self::Verify),
            _ => None,
        }
    }
}

/// Why a call has no `result`.
#[derive(Debug, thiserror::Error)]
enum CallError {
    /// The API refuses the call, with HTTP status 200.
    #[error(transparent)]
    Code(#[from] ErrorCode),
    /// It refuses the video of the call.
    #[error(transparent)]
    Video(#[from] VideoError),
    #[error(transparent)]
    NoRandomBytes(#[from] NoRandomBytes),
}

impl From<IssueError> for CallError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Full => Self::Code(ErrorCode::BUSY),
            IssueError::NoRandomBytes(error) => Self::NoRandomBytes(error),
        }
    }
}

/// Why a call has no response body: its HTTP status is not 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallFailure {
    /// [`Scenario::Busy`].
    #[error("no capacity")]
    Busy,
    /// A fault of this machine.
    #[error(transparent)]
    NoRandomBytes(#[from] NoRandomBytes),
}

/// The state of the endpoints: valid sessions and the pictures of the responses.
pub(super) struct EmulatorApi {
    sessions: Mutex<EmulatedSessions>,
    pictures: SamplePictures,
}

impl EmulatorApi {
    /// Starts without sessions.
    pub(super) fn new() -> Self {
        Self {
            sessions: Mutex::default(),
            pictures: SamplePictures::new(),
        }
    }

    /// Returns the response body of a call whose signature is valid. Its HTTP status is 200.
    ///
    /// # Errors
    /// See [`CallFailure`].
    pub(super) fn call(
        &self,
        endpoint: EmulatedEndpoint,
        body: &[u8],
        now: EmulatorTime,
        handle: &EmulatorHandle,
    ) -> Result<Vec<u8>, CallFailure> {
        // Read once: it may be changed at any time.
        let scenario = handle.scenario();
        if endpoint == EmulatedEndpoint::Verify && scenario == Scenario::Busy {
            return Err(CallFailure::Busy);
        }
        let ids = response_ids()?;
        let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else {
            return Ok(responses::error(ErrorCode::NOT_JSON, None, ids));
        };
        let result = match endpoint {
            EmulatedEndpoint::SessionCode => self.issue(&fields, now, ids),
            EmulatedEndpoint::Verify => self.verify(&fields, now).map(|wanted| {
                if is_billed(scenario) {
                    handle.count_billed_call();
                }
                let new = handle.has_new_members();
                responses::verify(&self.pictures, scenario, wanted, new, ids)
            }),
        };
        match result {
            Ok(body) => Ok(body),
            Err(CallError::Code(code)) => Ok(responses::error(code, None, ids)),
            Err(CallError::Video(error)) => {
                let hint = error.to_string();
                Ok(responses::error(error.code(), Some(&hint), ids))
            }
            Err(CallError::NoRandomBytes(error)) => Err(error.into()),
        }
    }

    fn issue(
        &self,
        fields: &Map<String, Value>,
        now: EmulatorTime,
        ids: ResponseIds,
    ) -> Result<Vec<u8>, CallError> {
        let (min, max) = code_lengths(fields)?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = sessions.issue(now.instant, min, max)?;
        Ok(responses::session(&issued, ids))
    }

    fn verify(
        &self,
        fields: &Map<String, Value>,
        now: EmulatorTime,
    ) -> Result<FaceFields, CallError> {
        let session = text(fields, "session_id", ErrorCode::SESSION_ID_FORMAT);
        // Before the other parameters are checked: every outcome spends the session.
        let was_valid = session.is_ok_and(|id| {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.spend(id, now.instant)
        });
        session?;
        let video = text(fields, "video_base64", ErrorCode::VIDEO_FORMAT)?;
        let face_fields = face_fields(fields)?;
        if !was_valid {
            return Err(ErrorCode::SESSION_LAPSE.into());
        }
        video::check(video)?;
        Ok(face_fields)
    }
}

/// Whether a verify with a valid session and video is billed.
fn is_billed(scenario: Scenario) -> bool {
    match scenario {
        Scenario::Pass | Scenario::ActionFail | Scenario::LowScore | Scenario::Spoof => true,
        Scenario::Error(code) => ErrorCode(code).is_billed(),
        Scenario::Busy => false,
    }
}

fn response_ids() -> Result<ResponseIds, NoRandomBytes> {
    let mut log_id = [0; 4];
    let mut face = [0; 15];
    rand::fill(&mut log_id)
        .and_then(|()| rand::fill(&mut face))
        .map_err(|_| NoRandomBytes)?;
    Ok(ResponseIds {
        log_id: u32::from_be_bytes(log_id),
        face,
    })
}

/// Reads a required string; `malformed` is the code for a member of another type.
fn text<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    malformed: ErrorCode,
) -> Result<&'a str, ErrorCode> {
    match fields.get(name) {
        None | Some(Value::Null) => Err(ErrorCode::PARAMETER_MISSING),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(malformed),
    }
}

/// Reads the minimum and maximum number of actions.
fn code_lengths(fields: &Map<String, Value>) -> Result<(usize, usize), ErrorCode> {
    let length = |name, default, malformed| match fields.get(name) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .filter(|length| CODE_LENGTHS.contains(length))
            .and_then(|length| usize::try_from(length).ok())
            .ok_or(malformed),
    };
    let min = length("min_code_length", 1, ErrorCode::MIN_CODE_LENGTH_FORMAT)?;
    let max = length("max_code_length", 3, ErrorCode::MAX_CODE_LENGTH_FORMAT)?;
    if min > max {
        Err(ErrorCode::CODE_LENGTHS)
    } else {
        Ok((min, max))
    }
}

/// Reads `face_field`: names joined by commas, without blanks, none twice.
fn face_fields(fields: &Map<String, Value>) -> Result<FaceFields, ErrorCode> {
    let mut wanted = FaceFields::default();
    let names = match fields.get("face_field") {
        None => return Ok(wanted),
        Some(Value::String(names)) => names,
        Some(_) => return Err(ErrorCode::FACE_FIELD_FORMAT),
    };
    for name in names.split(',') {
        let slot = match name {
            "spoofing" => &mut wanted.spoofing,
            "quality" => &mut wanted.quality,
            _ => return Err(ErrorCode::FACE_FIELD_FORMAT),
        };
        if std::mem::replace(slot, true) {
            return Err(ErrorCode::FACE_FIELD_FORMAT);
        }
    }
    Ok(wanted)
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
