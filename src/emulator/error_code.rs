//! The values of `error_code` with their documented messages.
//!
//! A table without logic. `session_id` and `video_base64` have no documented code of their own;
//! theirs are taken from the documented range for malformed parameters.

/// An `error_code` other than 0, returned with HTTP status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error_code {code}: {message}", code = .0, message = self.message())]
pub(super) struct ErrorCode(pub(super) u32);

impl ErrorCode {
    /// Too many sessions are valid; documented as "system busy".
    pub(super) const BUSY: Self = Self(216_612);
    pub(super) const SESSION_LAPSE: Self = Self(216_502);
    pub(super) const NO_VIDEO: Self = Self(216_508);
    pub(super) const VIDEO_TOO_LONG: Self = Self(216_510);
    pub(super) const PARAMETER_MISSING: Self = Self(222_001);
    pub(super) const SESSION_ID_FORMAT: Self = Self(222_002);
    pub(super) const VIDEO_FORMAT: Self = Self(222_003);
    pub(super) const FACE_FIELD_FORMAT: Self = Self(222_017);
    pub(super) const CODE_LENGTHS: Self = Self(222_027);
    pub(super) const MIN_CODE_LENGTH_FORMAT: Self = Self(222_028);
    pub(super) const MAX_CODE_LENGTH_FORMAT: Self = Self(222_029);
    pub(super) const NOT_JSON: Self = Self(222_200);

    /// The message of this code, or a general one for an undocumented code: clients must decide by
    /// the number alone.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self(2) => "Service temporarily unavailable",
            Self(4) => "Open api request limit reached",
            Self(6) => "No permission to access data",
            Self(17) => "Open api daily request limit reached",
            Self(18) => "Open api qps request limit reached",
            Self(19) => "Open api total request limit reached",
            Self(100) => "Invalid parameter",
            Self(110) => "Access token invalid or no longer valid",
            Self(111) => "Access token expired",
            Self(216_430) => "rtse/face service error",
            Self(216_431) => "voice service error",
            Self(216_432) => "video service call fail",
            Self(216_433) => "video service error",
            Self(216_434) => "liveness check fail",
            Self(216_500) => "code digit error",
            Self(216_501) => "not found face",
            Self::SESSION_LAPSE => "session lapse",
            Self(216_505) => "redis connect error",
            Self(216_506) => "redis operation error",
            Self(216_507) => "found many faces",
            Self::NO_VIDEO => "not found video info",
            Self(216_509) => "voice can not identify",
            Self::VIDEO_TOO_LONG => "video is too long",
            Self::BUSY => "system busy",
            Self(216_908) => "low face quality",
            Self::PARAMETER_MISSING => "param is null",
            Self::SESSION_ID_FORMAT => "param[session_id] format error",
            Self::VIDEO_FORMAT => "param[video_base64] format error",
            Self::FACE_FIELD_FORMAT => "param[face_field] format error",
            Self::CODE_LENGTHS => "code length param error",
            Self::MIN_CODE_LENGTH_FORMAT => "param[min_code_length] format error",
            Self::MAX_CODE_LENGTH_FORMAT => "param[max_code_length] format error",
            Self(222_004..=222_026 | 222_030 | 222_046) => "param format error",
            Self::NOT_JSON => "request body should be json format",
            Self(222_202) => "pic not has face",
            Self(_) => "request not successful",
        }
    }
}
