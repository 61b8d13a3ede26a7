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

    /// Whether a verify with this code is billed: the video was judged.
    pub(super) fn is_billed(self) -> bool {
        matches!(self, Self(216_500 | 223_120))
    }

    /// The documented message of this code; its meaning, if none is documented; or a general
    /// message for an unknown code. Clients must decide by the number alone.
    pub(super) fn message(self) -> &'static str {
        match self.0 {
            2..=111 => platform_message(self.0),
            216_000..=216_999 => video_message(self.0),
            222_000..=222_199 => parameter_message(self.0),
            222_200..=223_999 => face_message(self.0),
            _ => UNKNOWN,
        }
    }
}

const UNKNOWN: &str = "request not successful";

fn platform_message(code: u32) -> &'static str {
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
        _ => UNKNOWN,
    }
}

fn video_message(code: u32) -> &'static str {
    match code {
        216_430 => "rtse/face service error",
        216_431 => "voice service error",
        216_432 => "video service call fail",
        216_433 => "video service error",
        216_434 => "liveness check fail",
        216_500 => "code digit error",
        216_501 => "not found face",
        216_502 => "session lapse",
        216_505 => "redis connect error",
        216_506 => "redis operation error",
        216_507 => "found many faces",
        216_508 => "not found video info",
        216_509 => "voice can not identify",
        216_510 => "video is too long",
        216_612 => "system busy",
        216_908 => "low face quality",
        216_909 => "two persons at once",
        _ => UNKNOWN,
    }
}

fn parameter_message(code: u32) -> &'static str {
    match code {
        222_001 => "param is null",
        222_002 => "param[session_id] format error",
        222_003 => "param[video_base64] format error",
        222_017 => "param[face_field] format error",
        222_027 => "code length param error",
        222_028 => "param[min_code_length] format error",
        222_029 => "param[max_code_length] format error",
        222_030 => "param[match_threshold] format error",
        222_004..=222_026 | 222_046 => "param format error",
        _ => UNKNOWN,
    }
}

fn face_message(code: u32) -> &'static str {
    match code {
        222_200 => "request body should be json format",
        222_201 | 222_205 | 222_206 | 222_302 => "server-side call failed",
        222_202 => "pic not has face",
        222_203 => "face can not be parsed",
        222_304 => "picture is too large",
        222_901..=222_916 => "system busy",
        223_051 => "lip check not passed",
        223_113 => "face is covered",
        223_114 => "face is blurred",
        223_115 => "face is badly lit",
        223_116 => "face is incomplete",
        223_120 => "liveness check not passed",
        223_121 => "left eye is covered too much",
        223_122 => "right eye is covered too much",
        223_123 => "left cheek is covered too much",
        223_124 => "right cheek is covered too much",
        223_125 => "chin is covered too much",
        223_126 => "nose is covered too much",
        223_127 => "mouth is covered too much",
        223_129 => "face is not frontal",
        223_131 => "synthetic-image check not passed",
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that are documented, by Qiniu's own upstream or by its clients.
    const DOCUMENTED: &[(u32, &str)] = &[
        (2, "Service temporarily unavailable"),
        (4, "Open api request limit reached"),
        (216_430, "rtse/face service error"),
        (216_431, "voice service error"),
        (216_432, "video service call fail"),
        (216_433, "video service error"),
        (216_434, "liveness check fail"),
        (216_500, "code digit error"),
        (216_501, "not found face"),
        (216_502, "session lapse"),
        (216_505, "redis connect error"),
        (216_506, "redis operation error"),
        (216_507, "found many faces"),
        (216_508, "not found video info"),
        (216_509, "voice can not identify"),
        (216_908, "low face quality"),
        (222_017, "param[face_field] format error"),
        (222_027, "code length param error"),
        (222_028, "param[min_code_length] format error"),
        (222_029, "param[max_code_length] format error"),
        (222_030, "param[match_threshold] format error"),
        (222_200, "request body should be json format"),
        (222_202, "pic not has face"),
    ];

    #[test]
    fn documented_codes_have_their_messages() {
        for (code, message) in DOCUMENTED {
            assert_eq!(ErrorCode(*code).message(), *message, "{code}");
        }
    }

    #[test]
    fn every_known_code_has_a_message_and_an_unknown_one_a_general_one() {
        let known = [
            2, 4, 6, 17, 18, 19, 100, 110, 111, 216_510, 216_612, 216_909, 222_001, 222_026,
            222_046, 222_201, 222_203, 222_205, 222_206, 222_302, 222_304, 222_901, 222_916,
            223_051, 223_113, 223_114, 223_115, 223_116, 223_120, 223_121, 223_122, 223_123,
            223_124, 223_125, 223_126, 223_127, 223_129, 223_131,
        ];
        for code in known {
            assert_ne!(ErrorCode(code).message(), UNKNOWN, "{code}");
        }
        for code in [1, 3, 112, 216_503, 222_047, 223_128, 300_000, u32::MAX] {
            assert_eq!(ErrorCode(code).message(), UNKNOWN, "{code}");
        }
    }
}
