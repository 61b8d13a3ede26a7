//! One connection, from its first byte to its last: TLS, HTTP/2 or HTTP/1.1, requests, and a close that loses nothing.

use std::{convert::Infallible, future::poll_fn, io, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Expired, Watched};
use crate::relay::{
    handle::{Gateway, Peer},
    problem,
};

/// How an HTTP/2 connection without TLS begins (RFC 9113 section 3.4): as much of it as no HTTP/1.1 request shares.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// What HTTP/2 senders may have under way: a fast upload over a long path, without giving up the bound on memory.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const MAX_STREAMS: u32 = 100;
/// After the last answer so much is still read, for so long: closing with unread bytes would reset the connection, and
/// the answer with it.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// How far the gateway is in stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// No new requests.
    Draining,
    /// No more time.
    Cut,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) gateway: Arc<Gateway>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) head_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_head_bytes: usize,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Shared {
    /// Serves a connection until it ends, or until there is no more time. Errors of a connection are its peer's affair.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, peer: std::net::SocketAddr) {
        let mut phase = self.phase.clone();
        tokio::select! {
            _ = self.begin(stream, peer) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
        }
    }

    async fn begin(&self, stream: TcpStream, address: std::net::SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let activity = Activity::begin();
        let peer = Peer {
            address,
            tls: self.tls.is_some(),
        };
        match &self.tls {
            Some(acceptor) => {
                let stream = timeout(self.head_timeout, acceptor.accept(stream)).await??;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.speak(
                    Watched::new(stream, Bytes::new(), Arc::clone(&activity)),
                    http2,
                    activity,
                    peer,
                )
                .await
            }
            None => {
                let mut stream = stream;
                let mut first = BytesMut::new();
                match timeout(self.head_timeout, sniff(&mut stream, &mut first)).await {
                    Ok(http2) => {
                        let http2 = http2?;
                        self.speak(
                            Watched::new(stream, first.freeze(), Arc::clone(&activity)),
                            http2,
                            activity,
                            peer,
                        )
                        .await
                    }
                    Err(_) if first.is_empty() => Ok(()),
                    Err(_) => self.refuse_slow_head(stream).await,
                }
            }
        }
    }

    async fn speak<S>(
        &self,
        stream: Watched<S>,
        http2: bool,
        activity: Arc<Activity>,
        peer: Peer,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if http2 {
            self.http2(stream, activity, peer).await
        } else {
            self.http1(stream, activity, peer).await
        }
    }

    async fn http1<S>(
        &self,
        stream: Watched<S>,
        activity: Arc<Activity>,
        peer: Peer,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.service(&activity, peer);
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service);
        let mut phase = self.phase.clone();
        let mut draining = false;
        let expired = loop {
            tokio::select! {
                result = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
                    if result.is_err() {
                        return Ok(());
                    }
                    break None;
                }
                expired = activity.expired(self.head_timeout, self.idle_timeout) => break Some(expired),
                _ = phase.wait_for(|phase| *phase != Phase::Serving), if !draining => {
                    draining = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let stream = connection.into_parts().io.into_inner();
        match expired {
            Some(Expired::Head) => self.refuse_slow_head(stream).await,
            Some(Expired::Idle) | None => linger(stream).await,
        }
    }

    async fn http2<S>(
        &self,
        stream: Watched<S>,
        activity: Arc<Activity>,
        peer: Peer,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.service(&activity, peer);
        let head = u32::try_from(self.max_head_bytes.saturating_mul(2))
            .unwrap_or(u32::MAX)
            .max(64 * 1024);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(head)
            .keep_alive_interval(Some(self.idle_timeout))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = Box::pin(connection);
        let mut phase = self.phase.clone();
        let mut ending = false;
        loop {
            tokio::select! {
                result = &mut connection => return result.map_err(io::Error::other),
                _ = activity.expired(self.head_timeout, self.idle_timeout), if !ending => {}
                _ = phase.wait_for(|phase| *phase != Phase::Serving), if !ending => {}
            }
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }

    fn service(&self, activity: &Arc<Activity>, peer: Peer) -> Requests {
        Requests {
            gateway: Arc::clone(&self.gateway),
            activity: Arc::clone(activity),
            peer,
        }
    }

    /// hyper has no answer for a head that does not end; this is ours.
    async fn refuse_slow_head(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let answer = problem::slow_head(&self.gateway.observer);
        timeout(LINGER_TIME, stream.write_all(&answer)).await??;
        linger(stream).await
    }
}

/// Hands the requests of a connection to the gateway.
struct Requests {
    gateway: Arc<Gateway>,
    activity: Arc<Activity>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    // Boxed, since the connection is taken apart again when a head does not arrive, and so may not be pinned.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (gateway, busy, peer) = (
            Arc::clone(&self.gateway),
            self.activity.request(),
            self.peer,
        );
        Box::pin(async move {
            let response = gateway.handle(request, peer).await;
            drop(busy);
            Ok(response)
        })
    }
}

/// Whether the connection begins as HTTP/2; what was read for it is in `first`.
async fn sniff(stream: &mut TcpStream, first: &mut BytesMut) -> io::Result<bool> {
    while PREFACE.starts_with(first) {
        if first.len() == PREFACE.len() {
            return Ok(true);
        }
        if (&mut *stream)
            .take((PREFACE.len() - first.len()) as u64)
            .read_buf(first)
            .await?
            == 0
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(false)
}

async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    timeout(LINGER_TIME, async {
        stream.shutdown().await?;
        let mut unread = [0; 8 * 1024];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut unread).await? {
                0 => break,
                length => left = left.saturating_sub(length),
            }
        }
        Ok(())
    })
    .await?
}
