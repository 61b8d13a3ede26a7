//! Turns, floods, and where a GOAWAY frame may stand.

use std::{task::Waker, time::Duration};

use tokio::{
    io::{Join, Sink, join, sink},
    time::Instant,
};

use super::*;
use crate::server::{activity::ConnectionTimeouts, head_budget::HeadBudget};

const PING: [u8; 17] = [0, 0, 8, kind::PING, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

type Bytes<'b> = GuardedStream<Join<&'b [u8], Sink>>;

fn stream(bytes: &[u8]) -> (Bytes<'_>, Arc<ConnectionProgress>) {
    let timeouts = ConnectionTimeouts {
        head: Duration::from_secs(1),
        idle: Duration::from_secs(1),
        grace: Duration::ZERO,
    };
    let heads = Arc::new(HeadBudget::new(0));
    let activity = ConnectionActivity::new(timeouts, Instant::now(), heads);
    let progress = Arc::new(ConnectionProgress::default());
    let stream = join(bytes, sink());
    let guarded = GuardedStream::new(stream, Arc::new(activity), Arc::clone(&progress));
    (guarded, progress)
}

/// The bytes that one turn hands up, and how it ends.
fn turn(stream: &mut Bytes<'_>, progress: &ConnectionProgress) -> (usize, Poll<io::Result<()>>) {
    progress.turns.fetch_add(1, Relaxed);
    let mut cx = Context::from_waker(Waker::noop());
    let mut bytes = 0;
    loop {
        let mut piece = [0; 8192];
        let mut piece = ReadBuf::new(&mut piece);
        let poll = Pin::new(&mut *stream).poll_read(&mut cx, &mut piece);
        bytes += piece.filled().len();
        if !matches!(poll, Poll::Ready(Ok(()))) || piece.filled().is_empty() {
            return (bytes, poll);
        }
    }
}

#[test]
fn a_turn_hands_up_little_of_what_is_no_upload() {
    let bytes = [&[0; 24][..], &PING.repeat(5_000)].concat();
    let (mut pings, progress) = stream(&bytes);
    for _ in 0..3 {
        let (read, end) = turn(&mut pings, &progress);
        assert!((16_384..=24_576).contains(&read), "{read}");
        assert!(end.is_pending());
        // Again in the same turn: nothing more.
        let mut cx = Context::from_waker(Waker::noop());
        let mut more = [0; 10];
        let poll = Pin::new(&mut pings).poll_read(&mut cx, &mut ReadBuf::new(&mut more));
        assert!(poll.is_pending());
    }
}

#[test]
fn a_turn_hands_up_a_mebibyte_of_an_upload() {
    let data = [
        &[0, 0x40, 0, kind::DATA, 0, 0, 0, 0, 1][..],
        &[7; 16 * 1024],
    ]
    .concat();
    let bytes = [&[0; 24][..], &data.repeat(128)].concat();
    let (mut upload, progress) = stream(&bytes);
    let (read, end) = turn(&mut upload, &progress);
    assert!((1_000_000..=1_065_000).contains(&read), "{read}");
    assert!(end.is_pending());
}

#[test]
fn a_flood_is_an_error_from_then_on() {
    let bytes = [&[0; 24][..], &PING.repeat(11_000)].concat();
    let (mut flood, progress) = stream(&bytes);
    let mut all = 0;
    loop {
        let (read, end) = turn(&mut flood, &progress);
        all += read;
        if let Poll::Ready(end) = end {
            assert!(end.is_err());
            break;
        }
    }
    assert!((10_000 * 17..10_500 * 17).contains(&all), "{all}");
    assert_eq!(flood.flood(), Some(FrameFlood));
    assert!(matches!(
        turn(&mut flood, &progress),
        (0, Poll::Ready(Err(_)))
    ));
}

#[test]
fn a_goaway_frame_stands_between_two_frames_only() {
    let (mut writing, _) = stream(&[]);
    let mut cx = Context::from_waker(Waker::noop());
    let goaway = [
        0,
        0,
        8,
        kind::GOAWAY,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        11,
    ];
    assert_eq!(writing.goaway(), Some(goaway));
    for end in 1..PING.len() {
        for (part, between) in [(&PING[..end], false), (&PING[end..], true)] {
            let written = Pin::new(&mut writing).poll_write(&mut cx, part);
            assert!(written.is_ready());
            assert_eq!(writing.goaway().is_some(), between, "{end}");
        }
    }
    let slices = [&PING[..3], &PING[3..], &PING[..9]].map(IoSlice::new);
    let written = Pin::new(&mut writing).poll_write_vectored(&mut cx, &slices);
    assert!(written.is_ready());
}

#[test]
fn resets_that_the_gateway_writes_are_charged() {
    let (mut writing, progress) = stream(&[]);
    let mut cx = Context::from_waker(Waker::noop());
    let reset = [0, 0, 4, kind::RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    for _ in 0..510 {
        drop(Pin::new(&mut writing).poll_write(&mut cx, &reset));
    }
    assert!(matches!(
        turn(&mut writing, &progress),
        (0, Poll::Ready(Err(_)))
    ));
}
