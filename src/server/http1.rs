//! The HTTP/1.1 part of a connection: hyper serves it, and gives the stream back while the
//! connection waits.
//!
//! hyper keeps two buffers and its state as long as it has a connection, though most wait most of
//! the time. One that has been idle for a second is *parked*: taken from hyper, and given to a new
//! server of hyper's with its next byte. Relies on the watchdog to say when, and on the stream to
//! know that no message is unfinished. Never parks a connection with a request in flight, a started
//! head or an unwritten response.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use super::{
    activity::{HttpVersion, TimeoutDecision},
    connection::{HttpConnection, coarse_head_limit},
    head_refusal::{HEAD_TIMEOUT, HeadRefusal},
    socket::PeerStream,
    stream::ConnectionStream,
    timeouts::ConnectionWatchdog,
};
use crate::{relay::gateway::Peer, wipe::WipedVec};

/// How the exchange of messages ended.
enum ConnectionEnd {
    /// hyper returned, or the peer closed a parked connection.
    Done(hyper::Result<()>),
    /// A head was not complete in time.
    HeadTimeout,
    /// The connection was idle.
    Idle,
    /// The connection is idle, and waits for a request without hyper.
    Parked,
}

impl<H, F> HttpConnection<H>
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    pub(super) async fn http1<S: PeerStream>(&self, stream: S, read: WipedVec) {
        let activity = &self.place.activity;
        activity.opened(HttpVersion::Http1);
        let mut stream = ConnectionStream::new(stream, read, Arc::clone(activity), true);
        let refusal = match self.serve_http1(&mut stream).await {
            ConnectionEnd::HeadTimeout => Some(HEAD_TIMEOUT),
            // hyper takes an error between two messages for the end of the connection.
            ConnectionEnd::Done(result) => match (stream.framing_error(), result) {
                (Some(error), _) => Some(HeadRefusal::of(error)),
                (None, Err(_)) => stream.held_back().map(HeadRefusal::instead_of),
                (None, Ok(())) => None,
            },
            ConnectionEnd::Idle if !activity.is_evicted() => return stream.close().await,
            ConnectionEnd::Idle | ConnectionEnd::Parked => None,
        };
        let ending = async {
            if let Some(refusal) = refusal {
                let response = self.refusal(refusal, stream.head());
                stream.respond(&response).await;
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

    /// Serves requests until the connection ends or a time limit passes. The stream can be used
    /// afterwards.
    async fn serve_http1<S: PeerStream>(&self, stream: &mut ConnectionStream<S>) -> ConnectionEnd {
        let mut watchdog = self.watchdog();
        loop {
            if stream.is_drained() {
                match watchdog.until_due(&mut stream.next_bytes()).await {
                    Some(Ok(1..)) => {}
                    Some(_) => return ConnectionEnd::Done(Ok(())),
                    None => return ConnectionEnd::Idle,
                }
            }
            match self.drive_http1(stream, &mut watchdog).await {
                ConnectionEnd::Parked => {}
                end => return end,
            }
        }
    }

    /// Lets hyper serve until it returns, a time limit passes or the connection is parked.
    async fn drive_http1<S: PeerStream>(
        &self,
        stream: &mut ConnectionStream<S>,
        watchdog: &mut ConnectionWatchdog<'_>,
    ) -> ConnectionEnd {
        let activity = &self.place.activity;
        let service = service_fn(|request| self.respond(request, activity, true));
        let max_head_bytes = self.context.rules.current().max_head_bytes;
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Responses are small: copied into one buffer, they take a single `send`.
            .writev(false)
            // The watchdog distinguishes a started head from an idle connection, and responds 408.
            .header_read_timeout(None)
            .max_header_size(coarse_head_limit(max_head_bytes))
            .serve_connection(TokioIo::new(&mut *stream), service);
        if let Some(result) = watchdog.until_due(&mut connection).await {
            return ConnectionEnd::Done(result);
        }
        let unread = connection.into_parts().read_buf;
        match watchdog.due {
            TimeoutDecision::HeadTimeout if !unread.is_empty() => ConnectionEnd::HeadTimeout,
            TimeoutDecision::Park if unread.is_empty() && stream.park() => ConnectionEnd::Parked,
            _ => ConnectionEnd::Idle,
        }
    }
}
