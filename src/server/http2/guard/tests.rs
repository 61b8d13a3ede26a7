//! What floods a connection, what does not, and that the split of the bytes does not matter.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.resize(bytes.len() + length, 0);
    bytes
}

/// Behind the preface. Nothing returns by time: the last refill is in the future.
fn guard() -> FrameGuard {
    let mut guard = FrameGuard::begin();
    guard.budget.refilled += Duration::from_secs(3600);
    guard.read(&[0; 24]).unwrap();
    guard
}

/// How many of these frames pass until the connection ends, at most 100,000.
fn endured(guard: &mut FrameGuard, frame: &[u8]) -> usize {
    (0..100_000)
        .take_while(|_| guard.read(frame).is_ok())
        .count()
}

#[test]
fn each_kind_of_flood_ends_the_connection() {
    let floods = [
        ("ping", frame(kind::PING, 0, 0, 8), 10_000),
        ("ping ack", frame(kind::PING, 1, 0, 8), 10_000),
        ("priority", frame(kind::PRIORITY, 0, 1, 5), 10_000),
        ("window update", frame(kind::WINDOW_UPDATE, 0, 1, 4), 10_000),
        ("unknown", frame(0x99, 0xff, 7, 0), 10_000),
        ("large unknown", frame(0x99, 0, 7, 16 * 1024), 153),
        ("settings", frame(kind::SETTINGS, 0, 0, 6), 1_000),
        ("settings ack", frame(kind::SETTINGS, 1, 0, 0), 1_000),
        ("reset", frame(kind::RST_STREAM, 0, 1, 4), 500),
        ("goaway", frame(kind::GOAWAY, 0, 0, 8), 1_000),
        ("continuation", frame(kind::CONTINUATION, 0, 1, 0), 1_000),
        ("empty data", frame(kind::DATA, 0, 1, 0), 1_000),
        ("last data", frame(kind::DATA, END_STREAM, 1, 0), 10_000),
        ("a byte of data", frame(kind::DATA, 0, 1, 1), 10_000),
        ("padded data", frame(kind::DATA, PADDED, 1, 257), 10_000),
        ("trailers", frame(kind::HEADERS, 5, 0, 9), 500),
    ];
    for (label, frame, limit) in floods {
        assert_eq!(endured(&mut guard(), &frame), limit, "{label}");
    }
    let mut resets = guard();
    let endured = (0..).take_while(|_| resets.reset_by_us().is_ok()).count();
    assert_eq!(endured, 500);
}

/// Heads of this many bytes until the connection ends, each in a turn of its own.
fn refused_heads(length: usize) -> usize {
    let mut guard = guard();
    let heads = (0..1000).map(|at| frame(kind::HEADERS, END_HEADERS, at * 2 + 1, length));
    heads
        .take_while(|head| {
            guard
                .read(head)
                .and_then(|()| guard.begin_turn(0, 0))
                .is_ok()
        })
        .count()
}

#[test]
fn heads_that_become_no_requests_end_the_connection_by_their_size() {
    assert_eq!(refused_heads(40), 196);
    assert_eq!(refused_heads(15_000), 19);
    // In two frames, of which the first does not end the head.
    let mut guard = guard();
    for at in 0.. {
        guard
            .read(&frame(kind::HEADERS, 0, at * 2 + 1, 8_000))
            .unwrap();
        assert_eq!(guard.unfinished_head(), Some(OPEN_HEAD));
        guard.begin_turn(0, 0).unwrap();
        let rest = frame(kind::CONTINUATION, END_HEADERS, at * 2 + 1, 7_000);
        guard.read(&rest).unwrap();
        assert_eq!(guard.unfinished_head(), None);
        if guard.begin_turn(0, 0).is_err() {
            assert_eq!(at, 18);
            return;
        }
    }
}

#[test]
fn a_head_with_more_bytes_than_h2_keeps_is_a_flood() {
    let mut guard = guard();
    guard.read(&frame(kind::HEADERS, 0, 1, 16 * 1024)).unwrap();
    let piece = frame(kind::CONTINUATION, 0, 1, 16 * 1024);
    // Far fewer than the budget allows.
    assert_eq!(endured(&mut guard, &piece), OPEN_HEAD / (16 * 1024));
}

#[test]
fn a_head_that_is_late_to_become_a_request_is_charged_once() {
    let mut guard = guard();
    let mut heads = Vec::new();
    for at in 0..100 {
        heads.extend(frame(kind::HEADERS, END_HEADERS, at * 2 + 1, 40));
    }
    guard.read(&heads).unwrap();
    for requests in 0..100 {
        guard.begin_turn(requests, requests).unwrap();
    }
    assert_eq!(guard.refused, 100);
    guard.begin_turn(100, 100).unwrap();
    assert!(guard.budget.spent < 5_000, "{}", guard.budget.spent);
}

#[test]
fn the_budget_returns_with_time_responses_and_uploads() {
    let ping = frame(kind::PING, 0, 0, 8);
    let mut pings = guard();
    assert_eq!(endured(&mut pings, &ping), 10_000);
    pings.budget.refilled = Instant::now() - Duration::from_secs(10);
    let endured = endured(&mut pings, &ping);
    assert!((3_200..5_000).contains(&endured), "{endured}");

    let mut uploads = guard();
    let upload = frame(kind::DATA, 0, 1, 16 * 1024);
    for _ in 0..100_000 {
        uploads.read(&upload).unwrap();
        uploads.read(&ping).unwrap();
        uploads.read(&frame(kind::WINDOW_UPDATE, 0, 0, 4)).unwrap();
    }

    // A request that is reset before its response, with two window updates and a ping.
    let mut requests = guard();
    for at in 0..100_000 {
        let stream = u32::try_from(at).unwrap() * 2 + 1;
        requests.read(&frame(kind::HEADERS, 5, stream, 60)).unwrap();
        requests.begin_turn(at + 1, at).unwrap();
        for _ in 0..2 {
            let update = frame(kind::WINDOW_UPDATE, 0, stream, 4);
            requests.read(&update).unwrap();
        }
        requests.read(&ping).unwrap();
        requests.begin_turn(at + 1, at + 1).unwrap();
    }
}

#[test]
fn a_turn_ends_after_a_share_of_work() {
    let mut busy = guard();
    busy.begin_turn(0, 0).unwrap();
    let pings = frame(kind::PING, 0, 0, 8).repeat(16 * 1024 / 17);
    busy.read(&pings).unwrap();
    assert!(!busy.turn_is_over());
    busy.read(&pings[..17]).unwrap();
    assert!(busy.turn_is_over());
    busy.begin_turn(0, 0).unwrap();
    assert!(!busy.turn_is_over());
    let mut upload = guard();
    upload.begin_turn(0, 0).unwrap();
    for _ in 0..15 {
        upload.read(&frame(kind::DATA, 0, 1, 16 * 1024)).unwrap();
    }
    assert!(!upload.turn_is_over());
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = 0_u8..12;
    let length = prop_oneof![0_usize..40, 0_usize..20_000];
    (kind, any::<u8>(), 0_u32..40, length)
        .prop_map(|(kind, flags, stream, length)| frame(kind, flags, stream, length))
}

proptest! {
    #[test]
    fn the_split_of_the_bytes_changes_nothing(
        frames in proptest::collection::vec(any_frame(), 0..60),
        mut cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..30),
    ) {
        let bytes = [vec![0; 24], frames.concat()].concat();
        let mut whole = FrameGuard::begin();
        whole.budget.refilled += Duration::from_secs(3600);
        let expected = whole.read(&bytes);
        cuts.sort_by_key(|cut| cut.index(bytes.len()));
        let mut split = FrameGuard::begin();
        split.budget.refilled = whole.budget.refilled;
        let (mut begin, mut found) = (0, Ok(()));
        for end in cuts.iter().map(|cut| cut.index(bytes.len())).chain([bytes.len()]) {
            found = found.and_then(|()| split.read(&bytes[begin..end]));
            begin = end;
        }
        prop_assert_eq!(found, expected);
        prop_assert_eq!(format!("{split:?}"), format!("{whole:?}"));
    }
}
