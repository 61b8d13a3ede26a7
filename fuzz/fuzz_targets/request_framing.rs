//! Arbitrary bytes in arbitrary pieces as an HTTP/1.1 connection. The framing guard has one verdict
//! however they are split. hyper, which reads what the guard lets pass, finds the messages that a
//! slow and plain reading finds: no byte of a body becomes a request.

#![no_main]

#[path = "../../src/server/framing/tests/differential/stream.rs"]
mod stream;

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use libfuzzer_sys::fuzz_target;
use liveness_gateway::server::framing::{FramingError, MessageFraming};
use liveness_gateway_fuzz::arrival;

use self::stream::PiecedStream;

/// hyper gets everything at once, so it needs no more turns than this.
const TURNS: usize = 64;

fuzz_target!(|data: &[u8]| {
    let Some((parts, bytes)) = arrival(data) else {
        return;
    };
    let (split, verdict) = guard(&parts);
    let (whole, expected) = guard(&[bytes]);
    assert_eq!(verdict, expected, "split and whole differ");
    // In pieces, the begin of a bad line may have passed.
    assert!(split >= whole);
    for passed in [whole, split] {
        let passed = bytes.get(..passed).expect("no more passes than arrived");
        let messages = plain(passed);
        let served = serve(passed);
        assert!(
            messages.starts_with(&served),
            "hyper: {served:?}, plainly: {messages:?}"
        );
    }
});

/// How many bytes pass, and the fault of the rest.
fn guard(parts: &[&[u8]]) -> (usize, Option<FramingError>) {
    let mut framing = MessageFraming::new();
    let mut passed = 0;
    for part in parts {
        match framing.read(part) {
            Ok(()) => passed += part.len(),
            Err((before, error)) => return (passed + before, Some(error)),
        }
    }
    (passed, None)
}

/// A complete request: its method and target, and its body.
#[derive(Debug, PartialEq)]
struct Message {
    line: String,
    body: Vec<u8>,
}

/// Reads complete requests line by line, and trusts every length.
fn plain(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(message) = plain_message(&mut bytes) {
        messages.push(message);
    }
    messages
}

fn plain_message(bytes: &mut &[u8]) -> Option<Message> {
    let mut first = line(bytes)?;
    while first.is_empty() {
        first = line(bytes)?;
    }
    let text = String::from_utf8_lossy(first);
    let (mut length, mut chunked) = (0, false);
    loop {
        let field = line(bytes)?;
        if field.is_empty() {
            break;
        }
        let field = String::from_utf8_lossy(field).to_ascii_lowercase();
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim_matches([' ', '\t']).parse().ok()?;
        }
        chunked |= field.starts_with("transfer-encoding:");
    }
    let mut body = Vec::new();
    if !chunked {
        body.extend_from_slice(take(bytes, length)?);
    }
    while chunked {
        let size = String::from_utf8_lossy(line(bytes)?).into_owned();
        let end = size.find(|letter: char| !letter.is_ascii_hexdigit());
        let size = usize::from_str_radix(&size[..end.unwrap_or(size.len())], 16).ok()?;
        if size == 0 {
            while !line(bytes)?.is_empty() {}
            break;
        }
        body.extend_from_slice(take(bytes, size)?);
        line(bytes)?;
    }
    let mut words = text.split(' ');
    let line = format!("{} {}", words.next()?, words.next()?);
    Some(Message { line, body })
}

fn line<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = bytes.split_at(end);
    *bytes = &rest[2..];
    Some(line)
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// The complete requests that hyper finds.
fn serve(bytes: &[u8]) -> Vec<Message> {
    let served = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let served = Rc::clone(&served);
        async move {
            let (parts, mut incoming) = request.into_parts();
            let mut body = Vec::new();
            let mut whole = true;
            while let Some(frame) = NextFrame(&mut incoming).await {
                match frame.map(Frame::into_data) {
                    Ok(Ok(data)) => body.extend_from_slice(&data),
                    Ok(Err(_trailers)) => {}
                    Err(_) => whole = false,
                }
            }
            if whole {
                let line = format!("{} {}", parts.method, parts.uri);
                served.borrow_mut().push(Message { line, body });
            }
            Ok::<_, Infallible>(Response::new(NoBody))
        }
    });
    let mut builder = http1::Builder::new();
    builder.writev(false).header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(PiecedStream::ending(bytes), service));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..TURNS {
        if connection.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
    served.take()
}

struct NextFrame<'b>(&'b mut Incoming);

impl Future for NextFrame<'_> {
    type Output = Option<Result<Frame<Bytes>, hyper::Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_frame(context)
    }
}

struct NoBody;

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
