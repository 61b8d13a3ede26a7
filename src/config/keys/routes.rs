//! The keys of `[[routes]]`. Most defaults depend on the route's kind.

use super::{
    ConfigKey,
    KeyDefault::{ByKind, Required, Unset, Value},
    ValueType, key,
};

/// In the order in which they are shown.
pub(super) const KEYS: &[ConfigKey] = &[
    key(
        "routes[].path",
        ValueType::Text,
        Required,
        "Exact path of the route, the same here and at Qiniu.",
    ),
    key(
        "routes[].kind",
        ValueType::Word(&["session", "verify", "plain"]),
        Required,
        "What the route does: `session` asks for a session, `verify` sends a video to be judged, \
         `plain` forwards to any other JSON API of Qiniu with the same signature.",
    ),
    key(
        "routes[].scope",
        ValueType::Text,
        Value("\"\""),
        "Scope that a token must have. Empty: none.",
    ),
    key(
        "routes[].max_body",
        ValueType::SIZE,
        ByKind(["\"4KiB\"", "\"28MiB\"", "\"1MiB\""]),
        "Maximum size of a request body, at most `server.body_memory`. A larger body gets 413.",
    ),
    key(
        "routes[].timeout",
        ValueType::DURATION,
        ByKind(["\"10s\"", "\"60s\"", "\"30s\""]),
        "Maximum time for a call to Qiniu.",
    ),
    key(
        "routes[].rate",
        ValueType::Rate,
        ByKind(["\"10/min\"", "\"12/min\"", "\"60/min\""]),
        "Requests allowed per user, on average. Empty: unlimited.",
    ),
    key(
        "routes[].burst",
        ValueType::Integer,
        ByKind(["5", "6", "10"]),
        "Requests that a user may send at once, before `rate` spaces them.",
    ),
    key(
        "routes[].quota",
        ValueType::Rate,
        ByKind(["\"\"", "\"100/day\"", "\"\""]),
        "Calls to Qiniu allowed per user in each `s`, `min`, `h` or `day` of UTC, such as \
         `50/day`. A call that did not reach Qiniu does not count. Empty: unlimited.",
    ),
    key(
        "routes[].concurrent_per_user",
        ValueType::Integer,
        ByKind(["4", "1", ""]),
        "Calls to Qiniu allowed per user at the same time. No value: unlimited.",
    ),
    key(
        "routes[].video_check",
        ValueType::Word(&["off", "report", "enforce"]),
        ByKind(["", "\"report\"", ""]),
        "Check for videos that Qiniu surely rejects: not MP4, not H.264, not 1 to 10 s however \
         rounded, not 16 to 2032 pixels. `report` counts and logs them and sends them anyway, `enforce` rejects them with \
         422 before the call. `verify` routes only.",
    ),
    key(
        "routes[].request.fields",
        ValueType::TextList,
        ByKind([
            "[\"min_code_length\", \"max_code_length\"]",
            "[\"session_id\", \"video_base64\", \"face_field\"]",
            "",
        ]),
        "Top-level members that are sent to Qiniu; all others are dropped. A `verify` route needs \
         `session_id` and `video_base64`. No value: all members are sent.",
    ),
    key(
        "routes[].request.set",
        ValueType::Members,
        Unset,
        "Members that are sent to Qiniu with these values, whatever the frontend sends, such as \
         `{ min_code_length = 2, max_code_length = 3 }`.",
    ),
    key(
        "routes[].response.fields",
        ValueType::TextList,
        ByKind([
            "[\"error_code\", \"error_msg\", \"serverlogid\", \"result.session_id\", \
             \"result.code\"]",
            "[\"error_code\", \"error_msg\", \"serverlogid\", \"result.score\", \
             \"result.maxspoofing\", \"result.spoofing_score\", \"result.thresholds\", \
             \"result.action_verify\", \"result.best_image.liveness_score\", \
             \"result.best_image.spoofing\", \"result.best_image.quality\", \
             \"result.pic_list[].liveness_score\", \"result.pic_list[].spoofing\", \
             \"result.pic_list[].quality\"]",
            "[\"*\"]",
        ]),
        "Paths of what may pass of a response, each with all that is in it; everything else stays \
         in the gateway, also what Qiniu adds one day. `[\"*\"]`: everything may pass, which a \
         `verify` route rejects, as it does any path with a picture, a `face_token` or a \
         `face_id`.",
    ),
    key(
        "routes[].response.remove",
        ValueType::TextList,
        ByKind([
            "",
            "[\"result.best_image.pic\", \"result.pic_list[].pic\"]",
            "",
        ]),
        "Paths of members that are removed from what may pass, such as `image.data`. Not empty on \
         a `verify` route.",
    ),
    key(
        "routes[].response.max_string",
        ValueType::OptionalSize,
        ByKind(["", "\"1KiB\"", ""]),
        "Maximum length of a string in a response, as written in the JSON, escapes included. A \
         longer one is removed, wherever it is. Empty: no limit. On a `verify` route at most \
         `4KiB`, and not empty.",
    ),
    key(
        "routes[].response.scores",
        ValueType::Word(&["visible", "hidden"]),
        ByKind(["", "\"visible\"", ""]),
        "`hidden` removes all but `error_code`, `error_msg`, `serverlogid`, \
         `result.action_verify` and the verdict, so that a frontend cannot learn how close an \
         attempt was. `verify` routes only.",
    ),
];
