//! An HTTP/2 connection, until it ends, a time limit passes, or its peer floods it.
//!
//! Relies on hyper and h2 for the protocol, and on [`guard`] for what they leave unbounded: frames
//! that are no requests. Over HTTP/2 a malformed head ends its stream, not the connection. Never
//! passes on a field that h2 would not send (RFC 9113 section 8.2.1).

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::Reason;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, body::Incoming, header::CONTENT_LENGTH, server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;

use self::stream::{ConnectionProgress, GuardedStream, Turns};
use super::{
    activity::{ConnectionActivity, HttpVersion, TimeoutDecision},
    connection::{HttpConnection, TrackedResponseBody, coarse_head_limit},
    socket::PeerStream,
    stream::ConnectionStream,
};
use crate::{
    relay::{gateway::Peer, unread::UPLOAD_WINDOW},
    wipe::WipedVec,
};

pub mod frames;
pub mod guard;
mod stream;

/// The flow-control window of a connection, in bytes: the unread bytes that a peer can make us
/// buffer. It is wider than a stream's, so that one upload that is not read can't stop the others
/// of a proxy's connection.
const CONNECTION_WINDOW: u32 = 4 * UPLOAD_WINDOW;
const MAX_STREAMS: u32 = 100;
/// Minimum of hyper's HTTP/2 head limit, in bytes. Above its limit hyper responds with a bare 431,
/// which can't be held back over HTTP/2.
const MIN_HEAD: usize = 128 * 1024;

impl<H, F> HttpConnection<H>
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    pub(super) async fn http2<S: PeerStream>(&self, stream: S, read: WipedVec) {
        let activity = &self.place.activity;
        activity.opened(HttpVersion::Http2);
        let mut stream = ConnectionStream::new(stream, read, Arc::clone(activity), false);
        let goaway = self.drive_http2(&mut stream, activity).await;
        let ending = async {
            if let Some(goaway) = goaway {
                stream.respond(&goaway).await;
            }
            stream.close_lingering().await;
        };
        if activity.is_evicted() {
            // Polled once: its place is needed.
            drop(timeout(Duration::ZERO, ending).await);
        } else {
            activity.unless_evicted(ending).await;
        }
    }

    /// Lets hyper serve until it returns or a time limit passes. Returns the GOAWAY frame for a
    /// peer that floods the connection, or blocks it with a head that does not end.
    async fn drive_http2<S>(
        &self,
        stream: &mut ConnectionStream<S>,
        activity: &Arc<ConnectionActivity>,
    ) -> Option<[u8; 17]>
    where
        S: PeerStream,
    {
        let progress = Arc::new(ConnectionProgress::default());
        let mut guarded = GuardedStream::new(stream, Arc::clone(activity), Arc::clone(&progress));
        let service = service_fn(|request| self.respond_http2(request, activity, &progress));
        let (max_head_bytes, ping) = {
            let rules = self.context.rules.current();
            (rules.max_head_bytes, rules.http2_ping)
        };
        let head_limit = coarse_head_limit(max_head_bytes).max(MIN_HEAD);
        let mut turns = Turns {
            connection: http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(UPLOAD_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(u32::try_from(head_limit).unwrap_or(u32::MAX))
                // h2 counts them over the whole life of a connection, so a proxy's would end some
                // day. The guard counts them too, and forgets them with time.
                .max_local_error_reset_streams(None)
                .keep_alive_interval(ping)
                .keep_alive_timeout(ping)
                .serve_connection(TokioIo::new(&mut guarded), service),
            progress: Arc::clone(&progress),
        };
        let mut stopping = self.context.stopping.clone();
        let mut watchdog = self.watchdog();
        let finished = tokio::select! {
            finished = watchdog.until_due(&mut turns) => finished,
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        let head_timeout = watchdog.due == TimeoutDecision::HeadTimeout;
        if finished.is_none() && !head_timeout {
            // Open streams finish. The peer gets a GOAWAY frame, so it opens no more. When the
            // whole gateway stops, the drain bounds this wait.
            Pin::new(&mut turns.connection).graceful_shutdown();
            if activity.is_evicted() {
                // Polled once, so that the frame is sent.
                drop(timeout(Duration::ZERO, &mut turns).await);
            } else if *self.context.stopping.borrow() {
                drop((&mut turns).await);
            } else {
                let limit = self.context.rules.current().head_timeout;
                let ending = timeout(limit, &mut turns);
                drop(activity.unless_evicted(ending).await);
            }
        }
        drop(turns);
        match guarded.flood() {
            Some(flood) => {
                let peer = self.peer.peer.address;
                self.context.log.flood(peer, &flood);
            }
            None if head_timeout => {}
            None => return None,
        }
        guarded.goaway()
    }

    /// Passes a request to the handler, unless its head is malformed. Then the stream is reset.
    fn respond_http2(
        &self,
        request: Request<Incoming>,
        activity: &Arc<ConnectionActivity>,
        progress: &Arc<ConnectionProgress>,
    ) -> impl Future<Output = Result<Response<TrackedResponseBody>, h2::Error>> + Send + use<H, F>
    {
        let progress = Arc::clone(progress);
        let handled = (!is_malformed(&request)).then(|| {
            progress.request();
            self.respond(request, activity, false)
        });
        async move {
            let Some(handled) = handled else {
                return Err(Reason::PROTOCOL_ERROR.into());
            };
            let Ok(response) = handled.await;
            progress.response();
            Ok(response)
        }
    }
}

/// Whether h2 let a malformed head pass, by RFC 9113: a field value with a blank before or behind
/// it (section 8.2.1; HTTP/1.1 ignores these), several lengths (8.1.1), or a scheme that is empty
/// or that the gateway does not speak (8.3.1).
fn is_malformed(request: &Request<Incoming>) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let mut lengths = 0;
    for (name, value) in request.headers() {
        let value = value.as_bytes();
        if blank(value.first()) || blank(value.last()) {
            return true;
        }
        lengths += u32::from(name == CONTENT_LENGTH);
    }
    // h2 drops the scheme where there is no authority.
    let uri = request.uri();
    let scheme = match uri.authority() {
        Some(_) if request.method() != Method::CONNECT => uri.scheme_str().unwrap_or_default(),
        _ => "http",
    };
    lengths > 1 || !matches!(scheme, "http" | "https")
}
