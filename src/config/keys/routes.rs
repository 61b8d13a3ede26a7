//! The keys of `[[routes]]`, and the defaults of those that depend on the route's kind.

use super::{ConfigKey, SCORES, VIDEO_CHECKS, ValueType, key};

/// In the order in which they are shown.
pub(super) const ROUTES: &[ConfigKey] = &[
    key(
        "routes[].path",
        ValueType::Text,
        "",
        "The exact path, the same here and at Qiniu",
    ),
    key(
        "routes[].kind",
        ValueType::Word(&["session", "verify", "plain"]),
        "",
        "What the route does",
    ),
    key(
        "routes[].scope",
        ValueType::Text,
        "\"\"",
        "The scope a token must have; empty: none",
    ),
    key(
        "routes[].max_body",
        ValueType::Size,
        "",
        "The body of a request at the most",
    ),
    key(
        "routes[].timeout",
        ValueType::Duration,
        "",
        "Time for the whole call to Qiniu",
    ),
    key(
        "routes[].rate",
        ValueType::Rate,
        "",
        "Requests per user, like 10/min (s, min, h, day); empty: unlimited",
    ),
    key(
        "routes[].burst",
        ValueType::Count,
        "",
        "Requests a user may make at once",
    ),
    key(
        "routes[].quota",
        ValueType::Rate,
        "\"\"",
        "Calls to Qiniu per user in each s, min, h or day of UTC, like 50/day; empty: unlimited",
    ),
    key(
        "routes[].concurrent_per_user",
        ValueType::Count,
        "",
        "Calls to Qiniu under way per user",
    ),
    key(
        "routes[].video_check",
        ValueType::Word(VIDEO_CHECKS),
        "",
        "What to do about a video that Qiniu would not take: off, report (count and log) or enforce (422); verify routes only",
    ),
    key(
        "routes[].request.fields",
        ValueType::Texts,
        "",
        "Top-level members that go upstream; the rest is dropped",
    ),
    key(
        "routes[].request.set",
        ValueType::Members,
        "",
        "Members that go upstream as written here, whatever the frontend asks",
    ),
    key(
        "routes[].response.remove",
        ValueType::Texts,
        "",
        "What is deleted from an answer, like result.pic_list[].pic",
    ),
    key(
        "routes[].response.max_string",
        ValueType::Size,
        "",
        "Longer strings are deleted wherever they stand; empty: no limit",
    ),
    key(
        "routes[].response.scores",
        ValueType::Word(SCORES),
        "",
        "Whether a frontend sees how close it was; hidden: only action_verify and the verdict",
    ),
];

/// What a `[[routes]]` of this kind has where a key is left out.
pub(in crate::config) fn route_default(kind: &str, name: &str) -> &'static str {
    match (name, kind) {
        ("max_body", "session") => "\"4KiB\"",
        ("max_body", "verify") => "\"28MiB\"",
        ("max_body", _) => "\"1MiB\"",
        ("timeout", "session") => "\"10s\"",
        ("timeout", "verify") => "\"60s\"",
        ("timeout", _) => "\"30s\"",
        ("rate", "session") => "\"10/min\"",
        ("rate", "verify") => "\"6/min\"",
        ("rate", _) => "\"60/min\"",
        ("burst", "session") => "5",
        ("burst", "verify") => "3",
        ("burst", _) => "10",
        ("concurrent_per_user", "session") => "4",
        ("concurrent_per_user", "verify") => "1",
        ("video_check", "verify") => "\"report\"",
        ("request.fields", "session") => "[\"min_code_length\", \"max_code_length\"]",
        ("request.fields", "verify") => "[\"session_id\", \"video_base64\", \"face_field\"]",
        ("response.remove", "verify") => "[\"result.best_image.pic\", \"result.pic_list[].pic\"]",
        ("response.max_string", "verify") => "\"4KiB\"",
        ("response.scores", "verify") => "\"visible\"",
        ("scope", _) => "\"\"",
        _ => "",
    }
}
