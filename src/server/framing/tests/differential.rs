//! Random streams, valid and broken ones: what the guard lets pass, hyper divides into the same
//! messages, however the stream arrives.

mod generate;
mod stream;

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use proptest::prelude::*;

use self::{
    generate::{message, mutated, mutation},
    stream::PiecedStream,
};
use super::super::*;

/// One message as a parser divides the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct DividedMessage {
    body: Vec<u8>,
    complete: bool,
}

/// Reads the stream byte by byte. Returns the messages, and the bytes that pass.
fn divided_by_guard(stream: &[u8]) -> (Vec<DividedMessage>, usize) {
    let mut framing = MessageFraming::new();
    let mut messages: Vec<DividedMessage> = Vec::new();
    for (at, byte) in stream.iter().enumerate() {
        let before = framing.state;
        if framing.read(&[*byte]).is_err() {
            return (messages, at);
        }
        match (before, messages.last_mut()) {
            (FramingState::Fields, _) if framing.state != FramingState::Fields => {
                messages.push(DividedMessage::default());
            }
            (FramingState::Body(_) | FramingState::ChunkData(_), Some(message)) => {
                message.body.push(*byte);
            }
            _ => {}
        }
        if let (FramingState::Start, Some(message)) = (framing.state, messages.last_mut()) {
            message.complete = true;
        }
    }
    (messages, stream.len())
}

/// Reads the stream in pieces of these sizes. Returns the pieces that pass.
fn passed<'s>(stream: &'s [u8], sizes: &[usize]) -> (VecDeque<&'s [u8]>, bool) {
    let mut framing = MessageFraming::new();
    let (mut pieces, mut rest) = (VecDeque::new(), stream);
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes
            .next()
            .map_or(rest.len(), |size| (*size).min(rest.len()));
        let (piece, behind) = rest.split_at(size.max(1));
        rest = behind;
        match framing.read(piece) {
            Ok(()) => pieces.push_back(piece),
            Err((valid, _)) => {
                pieces.push_back(&piece[..valid]);
                return (pieces, false);
            }
        }
    }
    (pieces, true)
}

struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The messages that hyper's server reads, and whether it found nothing wrong.
fn divided_by_hyper(pieces: VecDeque<&[u8]>) -> (Vec<DividedMessage>, bool) {
    let messages = Arc::new(Mutex::new(Vec::<DividedMessage>::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let messages = Arc::clone(&messages);
        async move {
            messages.lock().unwrap().push(DividedMessage::default());
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                // A broken body ends its message, and the connection with it.
                let Ok(frame) = frame else {
                    return std::future::pending().await;
                };
                if let (Some(data), Some(message)) =
                    (frame.data_ref(), messages.lock().unwrap().last_mut())
                {
                    message.body.extend_from_slice(data);
                }
            }
            messages.lock().unwrap().last_mut().unwrap().complete = true;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(64 * 1024)
        .serve_connection(PiecedStream::open(pieces), service);
    let mut connection = pin!(connection);
    let flag = Arc::new(WakeFlag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut valid = true;
    while flag.0.swap(false, Ordering::Relaxed) {
        if connection
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            valid = false;
            break;
        }
    }
    let messages = messages.lock().unwrap().clone();
    (messages, valid)
}

/// Fails where the guard and hyper divide a stream into different messages, or the guard's verdict
/// depends on the pieces. Returns the number of messages that both found.
fn check(stream: &[u8], sizes: &[usize]) -> usize {
    let (ours, end) = divided_by_guard(stream);
    let (pieces, all) = passed(stream, sizes);
    assert_eq!(
        all,
        end == stream.len(),
        "the verdict depends on the pieces"
    );
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert!(bytes <= end, "more passes in larger pieces");
    let (theirs, valid) = divided_by_hyper(pieces);
    assert!(theirs.len() <= ours.len(), "{theirs:?}\n{ours:?}");
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert!(ours.body.starts_with(&theirs.body), "{theirs:?}\n{ours:?}");
        assert!(ours.complete || !theirs.complete, "{theirs:?}\n{ours:?}");
        assert!(
            !theirs.complete || ours.body == theirs.body,
            "{theirs:?}\n{ours:?}"
        );
    }
    if all && valid {
        assert_eq!(theirs, ours, "hyper waits for more");
    }
    theirs.len()
}

#[test]
fn valid_messages_are_divided_alike() {
    let stream = [super::MESSAGES, super::MESSAGES].concat();
    for size in 1..40 {
        // The last message of the first half is HTTP/1.0: hyper closes behind it.
        assert_eq!(check(&stream, &[size]), 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: ProptestConfig::default().cases.max(4096),
        ..ProptestConfig::default()
    })]

    /// `PROPTEST_CASES` sets how many, if more.
    #[test]
    fn what_passes_is_divided_alike_by_hyper(
        messages in prop::collection::vec(message(), 1..5),
        mutations in prop::collection::vec(mutation(), 0..4),
        sizes in prop::collection::vec(1_usize..200, 0..6),
    ) {
        check(&mutated(messages.concat(), &mutations), &sizes);
    }
}
