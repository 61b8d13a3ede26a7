//! The decisions about fetches, without a network.

use super::*;
use crate::outbound::connection::client_config;

#[test]
fn unknown_ids_request_one_fetch_per_half_minute() {
    let settings = RemoteKeySettings {
        location: KeySetLocation::KeySet(Url::parse("http://127.0.0.1:1/keys").unwrap()),
        dialer: Dialer::default(),
        tls: ClientTls::new(client_config(None).unwrap()),
        algorithms: None,
        max_stale: Duration::from_secs(3600),
        timing: FetchTiming::default(),
    };
    let keys = RemoteKeys::new("i".into(), settings);
    let fetched = |number| {
        keys.progress.send_modify(|progress| {
            (progress.started, progress.finished) = (number, number);
        });
    };
    let start = Instant::now();
    let decision = |later| match keys.request_fetch(start + Duration::from_millis(later)) {
        FetchDecision::WaitFor(number) => Some(number),
        FetchDecision::Refuse => None,
    };
    // The fetch at start does not count.
    fetched(1);
    assert_eq!((decision(0), decision(0)), (Some(2), Some(2)));
    fetched(2);
    assert_eq!((decision(1), decision(29_999)), (None, None));
    assert_eq!(decision(30_000), Some(3));
    // A fetch in progress may have started before the key was published.
    keys.progress.send_modify(|progress| {
        (progress.started, progress.finished) = (4, 3);
    });
    assert_eq!(decision(60_000), Some(5));
}

#[test]
fn a_key_set_is_kept_from_a_minute_to_a_day() {
    let lifetime = |seconds: Option<u64>| {
        let fresh = seconds.map(Duration::from_secs);
        FetchTiming::default().lifetime(fresh).as_secs()
    };
    assert_eq!(
        [lifetime(Some(0)), lifetime(Some(59)), lifetime(Some(61))],
        [60, 60, 61]
    );
    assert_eq!(
        [lifetime(Some(86_401)), lifetime(Some(u64::MAX))],
        [86_400; 2]
    );
    assert_eq!(lifetime(None), 300);
}

#[test]
fn retry_delays_double_up_to_a_limit() {
    let pauses = [0, 1, 2, 5, 6, 31, 32, u32::MAX]
        .map(|it| FetchTiming::default().retry_delay(it).as_secs());
    assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60, 60]);
}
