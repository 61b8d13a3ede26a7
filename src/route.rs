//! What the operator decides about routes.

use std::{num::NonZeroU32, time::Duration};

use crate::json;

/// A rate or quota as it is written, `"10/min"`: so many in each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long: a second, minute, hour or day.
    pub per: Duration,
}

/// What a route does with its body and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Asks Qiniu for a session code.
    Session,
    /// Sends a video to be judged: billed, never sent twice.
    Verify,
    /// Any other JSON endpoint of Qiniu with this signature.
    Plain,
}

/// What is done about a video that Qiniu would not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCheck {
    /// Nothing; only what can't be a video at all is refused.
    Off,
    /// It is counted and logged, and goes up all the same.
    Report,
    /// It is refused, before it costs anything.
    Enforce,
}

/// One `[[routes]]`, checked.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The exact path, the same here and at Qiniu.
    pub path: String,
    /// What it does.
    pub kind: RouteKind,
    /// The scope a token must have; none: any token of a known issuer.
    pub scope: Option<String>,
    /// Bytes of a request's body at the most.
    pub max_body: u64,
    /// Time for the whole call to Qiniu.
    pub timeout: Duration,
    /// Requests per user; none: unlimited.
    pub rate: Option<Rate>,
    /// Requests a user may make at once before `rate` spaces them.
    pub burst: NonZeroU32,
    /// Calls to Qiniu per user in each second, minute, hour or day of UTC; none: unlimited.
    pub quota: Option<Rate>,
    /// Calls to Qiniu under way per user; none: unlimited.
    pub concurrent_per_user: Option<NonZeroU32>,
    /// What the look at a video's container is for; `Off` where there is none.
    pub video_check: VideoCheck,
    /// The top-level members that go upstream; none: all of them.
    pub request_fields: Option<Vec<String>>,
    /// Members that go upstream whatever the body says of them.
    pub request_set: Vec<(String, serde_json::Value)>,
    /// What is deleted from an answer.
    pub remove: Vec<json::rules::MemberPath>,
    /// Longer strings are deleted from an answer wherever they stand; none: no limit.
    pub max_string: Option<usize>,
    /// Of an answer to `verify` only the envelope, whether the actions were seen, and the verdict remain.
    pub scores_hidden: bool,
}
