//! One connection of the public listener: TLS or plain text, HTTP/1.1 or HTTP/2, until it ends or goes quiet.
//!
//! Relies on the wire to report progress and on the handler to bound its own requests. Every wait here has an end: the
//! handshake, the first bytes, a head, the pause between requests, an answer nobody reads, and the end itself.
//! Never reads a body, and never logs anything a peer sent.

use std::{
    convert::Infallible, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::Instant,
};

use super::{
    activity::{
        ConnectionActivity, ConnectionTimeouts, HttpVersion, RequestGuard, TimeoutDecision,
        TrackedResponseBody,
    },
    head_refusal::{HEAD_TIMEOUT, HeadRefusal, HeadResponder},
    opening::{DetectedProtocol, OpenedStream, detect_protocol, tls_handshake},
    tls::ServerTls,
    watchdog::ConnectionWatchdog,
    wire::ConnectionStream,
};
use crate::lifecycle::Readiness;
use crate::{
    relay::handle::Peer,
    spare::Spare,
    telemetry::metrics::{GaugeGuard, Metrics},
};

/// What an upload may have under way, so that a long way does not slow it: 200 ms at 160 Mbit/s. One upload may have all
/// of its connection's, which is what the peer can make us hold that nobody has read.
const WINDOW: u32 = 4 * 1024 * 1024;
const MAX_STREAMS: u32 = 100;
/// A head beyond is refused by hyper itself, with a bare 431 that can't be held back here as it is over HTTP/1.1.
const MIN_HTTP2_HEAD: usize = 128 * 1024;
/// HTTP/2 peers that are gone are noticed within twice this.
const PING: Duration = Duration::from_secs(20);

/// What all connections share.
pub(super) struct ServerContext<H> {
    pub(super) handle: H,
    /// What requests are handled in.
    pub(super) boxes: Spare<Response<Full<Bytes>>>,
    pub(super) tls: Option<ServerTls>,
    pub(super) timeouts: ConnectionTimeouts,
    pub(super) max_head_bytes: usize,
    pub(super) metrics: Arc<Metrics>,
    pub(super) head_responder: HeadResponder,
    /// Becomes true when the gateway stops.
    pub(super) stopping: watch::Receiver<bool>,
    /// Says when the time for requests under way is over.
    pub(super) readiness: Arc<Readiness>,
}

/// Serves one connection to its end.
pub(super) async fn serve<H, F>(tcp: TcpStream, address: SocketAddr, shared: Arc<ServerContext<H>>)
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let _open = GaugeGuard::new(&shared.metrics.connections);
    let accepted = Instant::now();
    let late = accepted + shared.timeouts.head;
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone at once");
        return;
    }
    let peer = Peer {
        address,
        tls: shared.tls.is_some(),
    };
    let mut stopping = shared.stopping.clone();
    let opening = async {
        match &shared.tls {
            Some(tls) => tls_handshake(tls, tcp, late).await.map(OpenedStream::Tls),
            None => detect_protocol(tcp, late).await.map(OpenedStream::Plain),
        }
    };
    let opened = tokio::select! {
        opened = opening => opened,
        // Nothing has been asked yet on this connection.
        _ = stopping.wait_for(|stop| *stop) => None,
    };
    let connection = HttpConnection {
        shared,
        peer,
        accepted,
    };
    match opened {
        // Boxed: it is much the larger one, and every connection would be as large.
        Some(OpenedStream::Tls(tls)) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
            Box::pin(connection.http2(tls, Bytes::new())).await;
        }
        Some(OpenedStream::Tls(tls)) => connection.http1(tls, Bytes::new()).await,
        Some(OpenedStream::Plain((tcp, DetectedProtocol::Http2(read)))) => {
            Box::pin(connection.http2(tcp, read)).await;
        }
        Some(OpenedStream::Plain((tcp, DetectedProtocol::Http1(read)))) => {
            connection.http1(tcp, read).await
        }
        None => {}
    }
}

/// What came of an HTTP/1.1 connection.
enum ConnectionEnd {
    /// hyper is done with it.
    Done(hyper::Result<()>),
    /// Time is up, in the middle of a head.
    HeadTimeout,
    /// Nothing is under way.
    Quiet,
}

struct HttpConnection<H> {
    shared: Arc<ServerContext<H>>,
    peer: Peer,
    accepted: Instant,
}

impl<H, F> HttpConnection<H>
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    async fn http1<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, read: Bytes) {
        let activity =
            ConnectionActivity::new(HttpVersion::Http1, self.shared.timeouts, self.accepted);
        let mut wire = ConnectionStream::new(stream, read, Arc::clone(&activity), true);
        let end = self.drive_http1(&mut wire, &activity).await;
        let refusal = match end {
            ConnectionEnd::HeadTimeout => Some(HEAD_TIMEOUT),
            ConnectionEnd::Done(Err(_)) => wire.held_back().map(HeadRefusal::instead_of),
            ConnectionEnd::Done(Ok(())) => None,
            ConnectionEnd::Quiet => return wire.close().await,
        };
        if let Some(refusal) = refusal {
            let responder = &self.shared.head_responder;
            let answer = responder.response(refusal, wire.head(), self.peer.address);
            wire.answer(&answer).await;
        }
        wire.close_lingering().await;
    }

    /// Lets hyper serve until it is done or the time is up; the wire can be used again afterwards.
    async fn drive_http1<S>(
        &self,
        wire: &mut ConnectionStream<S>,
        activity: &Arc<ConnectionActivity>,
    ) -> ConnectionEnd
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let service = service_fn(|request| self.respond(request, activity, true));
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Answers are small: put together, they are one plain `send`.
            .writev(false)
            // Ours knows a head that began from one that did not, and answers 408.
            .header_read_timeout(None)
            .max_header_size(coarse_head_limit(self.shared.max_head_bytes))
            .serve_connection(TokioIo::new(wire), service);
        let mut watchdog = self.watchdog(activity);
        let finished = watchdog.until_due(&mut connection).await;
        match finished {
            Some(result) => ConnectionEnd::Done(result),
            None if watchdog.due == TimeoutDecision::HeadTimeout
                && !connection.into_parts().read_buf.is_empty() =>
            {
                ConnectionEnd::HeadTimeout
            }
            None => ConnectionEnd::Quiet,
        }
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, read: Bytes) {
        let activity =
            ConnectionActivity::new(HttpVersion::Http2, self.shared.timeouts, self.accepted);
        let mut wire = ConnectionStream::new(stream, read, Arc::clone(&activity), false);
        self.drive_http2(&mut wire, &activity).await;
        wire.close_lingering().await;
    }

    async fn drive_http2<S>(
        &self,
        wire: &mut ConnectionStream<S>,
        activity: &Arc<ConnectionActivity>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let head_limit = coarse_head_limit(self.shared.max_head_bytes).max(MIN_HTTP2_HEAD);
        let head_limit = u32::try_from(head_limit).unwrap_or(u32::MAX);
        let service = service_fn(|request| self.respond(request, activity, false));
        let mut connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(head_limit)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .serve_connection(TokioIo::new(wire), service);
        let mut stopping = self.shared.stopping.clone();
        let mut watchdog = self.watchdog(activity);
        let finished = tokio::select! {
            finished = watchdog.until_due(&mut connection) => finished,
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        if finished.is_some() {
            return;
        }
        // Streams under way finish; the peer is told to open no more. The stop as a whole has its own time limit.
        Pin::new(&mut connection).graceful_shutdown();
        if *self.shared.stopping.borrow() {
            drop(connection.await);
        } else {
            drop(tokio::time::timeout(self.shared.timeouts.head, connection).await);
        }
    }

    fn watchdog<'a>(&'a self, activity: &'a ConnectionActivity) -> ConnectionWatchdog<'a> {
        let ServerContext {
            timeouts,
            stopping,
            readiness,
            ..
        } = &*self.shared;
        ConnectionWatchdog::new(activity, timeouts.idle, stopping, readiness)
    }

    /// Hands a request to the relay. It counts as in flight from here to the end of its answer.
    fn respond(
        &self,
        request: Request<Incoming>,
        activity: &Arc<ConnectionActivity>,
        http1: bool,
    ) -> impl Future<Output = Result<Response<TrackedResponseBody>, Infallible>> + Send + use<H, F>
    {
        let mut guard = RequestGuard::begin(activity, &self.shared.metrics);
        let shared = Arc::clone(&self.shared);
        // Boxed: hyper moves what it is given a few times before the first step, and this is large.
        let mut handled = shared.boxes.hold((shared.handle)(request, self.peer));
        async move {
            let (mut head, body) = (&mut handled).await.into_parts();
            shared.boxes.keep(handled);
            guard.answered();
            if http1 && *shared.stopping.borrow() {
                head.headers
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(Response::from_parts(
                head,
                TrackedResponseBody {
                    body,
                    _guard: guard,
                },
            ))
        }
    }
}

/// Where hyper itself gives up on a head. The exact limit is the relay's, which counts what the design counts.
fn coarse_head_limit(max_head_bytes: usize) -> usize {
    max_head_bytes.saturating_mul(2).max(64 * 1024)
}
