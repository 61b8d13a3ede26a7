//! What normal users send: their tokens, and the two calls of the API.
//!
//! Relies on the gateway's own `token` command for tokens. Sends nothing.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, SizeHint},
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue},
};
use liveness_gateway::generate::{TokenClaims, development_token};
use tokio::time::{Instant, Sleep, sleep};

pub(crate) const SESSIONCODE: &str = "/v2/actionliveness/sessioncode";
pub(crate) const VERIFY: &str = "/v2/actionliveness/verify";
pub(crate) const ISSUER: &str = "https://login.example.com/";
pub(crate) const AUDIENCE: &str = "liveness";
pub(crate) const SECRET: &str = "the-secret-of-the-siege-is-long-enough";
const LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);

/// A body in pieces, so that the video is shared by all requests.
pub(crate) struct Pieces {
    left: VecDeque<Bytes>,
    pace: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let filled = pieces.into_iter().filter(|piece| !piece.is_empty());
        Self {
            left: filled.collect(),
            pace: None,
        }
    }

    /// The same body, sent in `parts` equal parts over `time`.
    pub(crate) fn paced(self, parts: u32, time: Duration) -> Self {
        let size = (self.length() as usize).div_ceil(parts as usize).max(1);
        let mut left = VecDeque::new();
        for mut piece in self.left {
            while !piece.is_empty() {
                left.push_back(piece.split_to(size.min(piece.len())));
            }
        }
        let every = time / parts;
        Self {
            left,
            pace: Some((every, Box::pin(sleep(Duration::ZERO)))),
        }
    }

    fn length(&self) -> u64 {
        self.left.iter().map(|piece| piece.len() as u64).sum()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some((every, pause)) = &mut self.pace {
            ready!(pause.as_mut().poll(cx));
            let next = Instant::now() + *every;
            pause.as_mut().reset(next);
        }
        Poll::Ready(self.left.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

/// A token of this user that the secret's owner signed.
///
/// # Errors
/// The gateway would refuse tokens of this secret.
pub(crate) fn token(secret: &str, user: &str) -> io::Result<String> {
    let claims = TokenClaims {
        issuer: ISSUER,
        audience: AUDIENCE,
        subject: user,
        scope: None,
        now: SystemTime::now(),
        lifetime: LIFETIME,
    };
    development_token(secret.as_bytes(), &claims).map_err(io::Error::other)
}

/// A `sessioncode`. The target is in absolute form for HTTP/2.
pub(crate) fn session(token: &HeaderValue, http2: bool) -> Request<Pieces> {
    let body = Bytes::from_static(b"{\"min_code_length\": 1, \"max_code_length\": 3}");
    request(SESSIONCODE, token, http2, Pieces::new([body]))
}

/// A `verify` of this video, which is base64 already.
pub(crate) fn verify(
    token: &HeaderValue,
    http2: bool,
    session: &str,
    video: &Bytes,
) -> Request<Pieces> {
    let front = format!("{{\"session_id\":\"{session}\",\"video_base64\":\"");
    let pieces = [
        Bytes::from(front),
        video.clone(),
        Bytes::from_static(b"\"}"),
    ];
    request(VERIFY, token, http2, Pieces::new(pieces))
}

fn request(path: &str, token: &HeaderValue, http2: bool, body: Pieces) -> Request<Pieces> {
    let length = HeaderValue::from(body.length());
    let mut request = Request::new(body);
    *request.method_mut() = hyper::Method::POST;
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, token.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    if !http2 {
        headers.insert(HOST, HeaderValue::from_static("localhost"));
    }
    let target = if http2 {
        format!("https://localhost{path}")
    } else {
        path.to_owned()
    };
    *request.uri_mut() = target.parse().unwrap_or_default();
    request
}
