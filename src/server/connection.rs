//! One connection of the public listener: its peer, TLS or plain text, HTTP/1.1 or HTTP/2, until it
//! ends or a time limit passes.
//!
//! Relies on the stream to report progress, and on the handler to bound its own requests. Each wait
//! is bounded: the TLS handshake, the first bytes, a head, the time between requests, a response
//! that the peer does not read, and the close. Never reads a body, and never logs anything a peer
//! sent.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CONNECTION, HeaderValue},
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    accept::AcceptedConnection,
    activity::{ConnectionActivity, NEXT_REQUEST_GRACE, RequestGuard},
    head_refusal::{HeadRefusal, PROXY_HEADER_INVALID},
    open::{DetectedProtocol, OpenedStream, open},
    opening_log::OpeningLog,
    peer::IdentifiedPeer,
    rules::{ConnectionRules, ServerRules},
    stream::ConnectionStream,
    table::ConnectionPlace,
    timeouts::ConnectionWatchdog,
};
use crate::{
    future_pool::FuturePool,
    instruments::GaugeGuard,
    lifecycle::Readiness,
    relay::gateway::Peer,
    telemetry::metrics::Metrics,
    wipe::{WipedBytes, WipedVec},
};

/// State shared by all connections.
pub(super) struct ServerContext<H> {
    pub(super) handle: H,
    /// Reusable allocations for the futures of requests.
    pub(super) futures: FuturePool<Response<Full<Bytes>>>,
    pub(super) rules: Arc<ServerRules>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: OpeningLog,
    /// Becomes true when the gateway stops.
    pub(super) stopping: watch::Receiver<bool>,
    /// Signals the end of `drain_timeout`.
    pub(super) readiness: Arc<Readiness>,
}

/// Serves one connection to its end.
pub(super) async fn serve<H, F>(accepted: AcceptedConnection, context: Arc<ServerContext<H>>)
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let _open = GaugeGuard::new(&context.metrics.connections);
    let activity = &accepted.place.activity;
    if let Err(error) = accepted.tcp.set_nodelay(true) {
        tracing::debug!(%error, "a connection closed right after its accept");
        return;
    }
    let rules = Arc::clone(&context.rules.current());
    let mut peer = rules
        .peers
        .direct(accepted.address, Arc::clone(activity.authenticated()));
    let deadline = activity.accepted() + rules.head_timeout;
    let given_up = until_given_up(context.stopping.clone(), activity.accepted());
    let opening = Box::pin(open(
        accepted.tcp,
        &mut peer,
        deadline,
        &rules,
        &context.log,
    ));
    let opened = tokio::select! {
        opened = activity.unless_evicted(opening) => opened.flatten(),
        () = given_up => None,
    };
    let connection = HttpConnection {
        context,
        rules,
        peer,
        place: accepted.place,
    };
    match opened {
        // Boxed, as `opening` is: a connection takes the memory of its present state only.
        Some(OpenedStream::Tls(tls)) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
            Box::pin(connection.http2(tls, WipedVec::default())).await;
        }
        Some(OpenedStream::Tls(tls)) => Box::pin(connection.http1(tls, WipedVec::default())).await,
        Some(OpenedStream::Plain(tcp, DetectedProtocol::Http2(read))) => {
            Box::pin(connection.http2(tcp, read)).await;
        }
        Some(OpenedStream::Plain(tcp, DetectedProtocol::Http1(read))) => {
            Box::pin(connection.http1(tcp, read)).await;
        }
        Some(OpenedStream::NoProxyHeader(tcp)) => connection.refuse(tcp).await,
        None => {}
    }
}

/// Resolves when the gateway stops, but not while the first request of a connection that was just
/// accepted may be on its way.
async fn until_given_up(mut stopping: watch::Receiver<bool>, accepted: Instant) {
    drop(stopping.wait_for(|stop| *stop).await);
    sleep_until(accepted + NEXT_REQUEST_GRACE).await;
}

/// An open connection.
pub(super) struct HttpConnection<H> {
    pub(super) context: Arc<ServerContext<H>>,
    /// The rules that the connection was opened by.
    rules: Arc<ConnectionRules>,
    pub(super) peer: IdentifiedPeer,
    pub(super) place: ConnectionPlace,
}

impl<H, F> HttpConnection<H>
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    /// Responds to a trusted proxy that sent no valid PROXY header.
    async fn refuse(&self, tcp: TcpStream) {
        let activity = &self.place.activity;
        let mut stream =
            ConnectionStream::new(tcp, WipedVec::default(), Arc::clone(activity), true);
        let response = self.refusal(PROXY_HEADER_INVALID, &[]);
        let ending = async {
            stream.respond(&response).await;
            stream.close_lingering().await;
        };
        activity.unless_evicted(ending).await;
    }

    /// The whole response to a head that never becomes a request.
    pub(super) fn refusal(&self, refusal: HeadRefusal, head: &[u8]) -> Vec<u8> {
        let rules = self.context.rules.current();
        rules
            .head_responder
            .response(refusal, head, self.peer.peer.address)
    }

    /// The peer, as the rules of this moment see it.
    fn current_peer(&self) -> Peer {
        let current = self.context.rules.current();
        match Arc::ptr_eq(&current, &self.rules) {
            true => self.peer.peer.clone(),
            false => current.peers.again(&self.peer),
        }
    }

    pub(super) fn watchdog(&self) -> ConnectionWatchdog<'_> {
        ConnectionWatchdog::new(&self.place, &self.context.stopping, &self.context.readiness)
    }

    /// Passes a request to the handler. It counts as in flight until its response is written.
    pub(super) fn respond(
        &self,
        request: Request<Incoming>,
        activity: &Arc<ConnectionActivity>,
        http1: bool,
    ) -> impl Future<Output = Result<Response<TrackedResponseBody>, Infallible>> + Send + use<H, F>
    {
        let mut guard = RequestGuard::new(activity, &self.context.metrics);
        let context = Arc::clone(&self.context);
        // Boxed: the future is large, and hyper moves it several times before the first poll.
        let mut handled = context
            .futures
            .store((context.handle)(request, self.current_peer()));
        async move {
            let (mut head, body) = (&mut handled).await.into_parts();
            context.futures.recycle(handled);
            guard.response_ready();
            // A signal to stop is known here before the stop itself, which `lame_duck` delays.
            if http1 && (context.readiness.is_draining() || *context.stopping.borrow()) {
                head.headers
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let body = TrackedResponseBody {
                body,
                _guard: guard,
            };
            Ok(Response::from_parts(head, body))
        }
    }
}

/// Head limit of hyper, in bytes. The relay enforces the exact limit, which counts method, target
/// and header fields only.
pub(super) fn coarse_head_limit(max_head_bytes: usize) -> usize {
    max_head_bytes.saturating_mul(2).max(64 * 1024)
}

/// A response body that keeps its request in flight until it is dropped. It is wiped once it is
/// written, for it may hold a session id.
pub(super) struct TrackedResponseBody {
    body: Full<Bytes>,
    _guard: RequestGuard,
}

impl Body for TrackedResponseBody {
    type Data = WipedBytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<WipedBytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map_ok(|frame| frame.map_data(WipedBytes::from))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
