//! When a connection is parked, and when not.

use super::{TimeoutDecision::Park, *};

const IDLE: Duration = Duration::from_secs(60);

fn activity(version: HttpVersion) -> Arc<ConnectionActivity> {
    let timeouts = ConnectionTimeouts {
        head: IDLE,
        idle: IDLE,
        grace: Duration::ZERO,
    };
    let heads = Arc::new(HeadBudget::new(usize::MAX));
    let activity = ConnectionActivity::new(timeouts, Instant::now(), heads);
    activity.opened(version);
    Arc::new(activity)
}

fn request(activity: &Arc<ConnectionActivity>) {
    activity.read();
    drop(RequestGuard::uncounted(activity));
    activity.wrote(Some(Instant::now()));
    activity.flushed();
}

/// The decision when so much time has passed.
fn after(activity: &ConnectionActivity, time: Duration) -> TimeoutDecision {
    activity.next(Some(Instant::now() + time), false)
}

#[test]
fn an_idle_connection_is_parked_once_after_each_request() {
    let activity = activity(HttpVersion::Http1);
    for _ in 0..2 {
        request(&activity);
        assert_ne!(after(&activity, Duration::ZERO), Park);
        assert_eq!(after(&activity, PARK_AFTER), Park);
        assert_ne!(after(&activity, PARK_AFTER), Park);
    }
    assert_eq!(after(&activity, IDLE), TimeoutDecision::Close);
}

#[test]
fn no_connection_is_parked_in_the_middle_of_something() {
    let head = activity(HttpVersion::Http1);
    request(&head);
    head.read();
    let busy = activity(HttpVersion::Http1);
    request(&busy);
    let _guard = RequestGuard::uncounted(&busy);
    let blocked = activity(HttpVersion::Http1);
    request(&blocked);
    blocked.wrote(None);
    let http2 = activity(HttpVersion::Http2);
    request(&http2);
    for activity in [head, busy, blocked, http2] {
        assert_ne!(after(&activity, PARK_AFTER * 2), Park);
    }
}
