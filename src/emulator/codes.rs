//! The numbers that stand in `error_code`, with the messages seen for them.
//!
//! Only a table. The numbers of the fields without one of their own (`session_id`, `video_base64`)
//! are picked from the documented range for malformed parameters.

/// Too many sessions: stands for "system busy".
pub(super) const BUSY: u32 = 216_612;
pub(super) const SESSION_LAPSE: u32 = 216_502;
pub(super) const NO_VIDEO: u32 = 216_508;
pub(super) const VIDEO_TOO_LONG: u32 = 216_510;
pub(super) const PARAMETER_MISSING: u32 = 222_001;
pub(super) const SESSION_ID_FORMAT: u32 = 222_002;
pub(super) const VIDEO_FORMAT: u32 = 222_003;
pub(super) const FACE_FIELD_FORMAT: u32 = 222_017;
pub(super) const CODE_LENGTHS: u32 = 222_027;
pub(super) const MIN_CODE_LENGTH_FORMAT: u32 = 222_028;
pub(super) const MAX_CODE_LENGTH_FORMAT: u32 = 222_029;
pub(super) const NOT_JSON: u32 = 222_200;

/// The message for a code. One that is not known gets a general one: clients must key on the number.
pub(super) fn message(code: u32) -> &'static str {
    match code {
        2 => "Service temporarily unavailable",
        4 => "Open api request limit reached",
        6 => "No permission to access data",
        17 => "Open api daily request limit reached",
        18 => "Open api qps request limit reached",
        19 => "Open api total request limit reached",
        100 => "Invalid parameter",
        110 => "Access token invalid or no longer valid",
        111 => "Access token expired",
        216_430 => "rtse/face service error",
        216_431 => "voice service error",
        216_432 => "video service call fail",
        216_433 => "video service error",
        216_434 => "liveness check fail",
        216_500 => "code digit error",
        216_501 => "not found face",
        SESSION_LAPSE => "session lapse",
        216_505 => "redis connect error",
        216_506 => "redis operation error",
        216_507 => "found many faces",
        NO_VIDEO => "not found video info",
        216_509 => "voice can not identify",
        VIDEO_TOO_LONG => "video is too long",
        BUSY => "system busy",
        216_908 => "low face quality",
        PARAMETER_MISSING => "param is null",
        SESSION_ID_FORMAT => "param[session_id] format error",
        VIDEO_FORMAT => "param[video_base64] format error",
        FACE_FIELD_FORMAT => "param[face_field] format error",
        CODE_LENGTHS => "code length param error",
        MIN_CODE_LENGTH_FORMAT => "param[min_code_length] format error",
        MAX_CODE_LENGTH_FORMAT => "param[max_code_length] format error",
        222_004..=222_026 | 222_030 | 222_046 => "param format error",
        NOT_JSON => "request body should be json format",
        222_202 => "pic not has face",
        _ => "request not successful",
    }
}
