//! What a caller is told of a limit that was reached.

use super::Told;
use crate::limit::rate::Wait;

pub(super) fn rate(wait: &Wait) -> Told {
    Told {
        retry_after: Some(wait.retry_after),
        ..Told::new(
            429,
            "rate_limited",
            "too many requests; wait as long as Retry-After says",
        )
    }
}

pub(super) fn quota(wait: &Wait) -> Told {
    Told {
        retry_after: Some(wait.retry_after),
        ..Told::new(
            429,
            "quota_exceeded",
            "the quota of this user is used up; it begins anew when Retry-After says",
        )
    }
}

pub(super) fn concurrent() -> Told {
    Told::new(
        429,
        "too_many_concurrent",
        "another request of this user is still under way; wait for its answer",
    )
    .later(1)
}
