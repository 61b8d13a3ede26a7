//! The settings of routes, validated.
//!
//! Relies on [`crate::json`] for the paths of members. Never reads the configuration file:
//! [`crate::config`] fills these types.

use std::{num::NonZeroU32, time::Duration};

use crate::json;

/// A rate or a quota, written as `"10/min"`: `count` in each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Number of requests or calls.
    pub count: NonZeroU32,
    /// The period: a second, a minute, an hour or a day.
    pub per: Duration,
}

/// What a route does with its request and response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Asks Qiniu for a session code.
    Session,
    /// Sends a video to be judged. Billed, so never sent twice.
    Verify,
    /// Any other JSON endpoint of Qiniu with this signature.
    Plain,
}

/// What happens to a video that Qiniu would reject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCheck {
    /// Not checked; only a member that can't be a video is rejected.
    Off,
    /// Counted and logged, then forwarded.
    Report,
    /// Rejected with 422 before a billed call.
    Enforce,
}

/// One `[[routes]]` entry, validated.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The exact path, here and at Qiniu.
    pub path: String,
    /// What the route does.
    pub kind: RouteKind,
    /// Scope that a token must have; `None`: no scope is required.
    pub scope: Option<String>,
    /// Maximum size of a request's body, in bytes.
    pub max_body: u64,
    /// Time limit of a call to Qiniu, from acquiring a connection to the last byte.
    pub timeout: Duration,
    /// Requests per user; `None`: unlimited.
    pub rate: Option<Rate>,
    /// Requests that a user may make at once before `rate` spaces them.
    pub burst: NonZeroU32,
    /// Calls to Qiniu per user in each second, minute, hour or day of UTC; `None`: unlimited.
    pub quota: Option<Rate>,
    /// Concurrent calls to Qiniu per user; `None`: unlimited.
    pub concurrent_per_user: Option<NonZeroU32>,
    /// The check of a video's container; `Off` on routes without a video.
    pub video_check: VideoCheck,
    /// Top-level members that are forwarded; `None`: all of them.
    pub request_fields: Option<Vec<String>>,
    /// Members that are forwarded with these values, whatever the request contains.
    pub request_set: Vec<(String, serde_json::Value)>,
    /// What of a response may pass; `None`: everything.
    pub response_fields: Option<Vec<json::rules::MemberPath>>,
    /// Members that are removed from responses.
    pub remove: Vec<json::rules::MemberPath>,
    /// Maximum length of a string in a response, in bytes as written; longer ones are removed
    /// wherever they are. `None`: unlimited.
    pub max_string: Option<usize>,
    /// Leave only the envelope, `action_verify` and the verdict in the response to a `verify`.
    pub scores_hidden: bool,
}
