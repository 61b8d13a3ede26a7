//! A running server, and a peer that writes bytes.
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use liveness_gateway::{
    handover::InheritedSockets,
    lifecycle::Readiness,
    relay::cors::{Cors, CorsSettings},
    relay::gateway::Peer,
    server::{
        AdminSettings, HTTP2_PING, HeadResponder, Server, ServerSettings, ServingTime,
        drain::{Drained, StopReason},
    },
    telemetry::{
        LogFormat, Telemetry,
        log::LogWriter,
        metrics::{Metrics, TextFormat},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use crate::support::{soon, until};

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// A request that counts as authenticated.
pub(crate) const KNOWN: &str = "GET /known HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";

/// Shows when a request to `/wait` has begun, and lets it finish.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) arrived: Notify,
    pub(crate) release: Notify,
}

pub(crate) struct Running {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) outcome: JoinHandle<Drained>,
}

pub(crate) fn settings() -> ServerSettings {
    ServerSettings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        trusted_proxies: Vec::new(),
        proxy_protocol: false,
        rate_per_address: None,
        max_connections: 100,
        max_head_bytes: 32 * 1024,
        body_memory: 1 << 20,
        body_memory_per_user: 1 << 20,
        min_body_rate: 1,
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        lame_duck: Duration::ZERO,
        drain_timeout: Duration::from_secs(10),
        http2_ping: HTTP2_PING,
        tls: None,
    }
}

/// `/wait` waits for the gate, `/refuse` leaves the body unread, other paths return the length of
/// the body. `/known` is authenticated.
async fn answer(request: Request<Incoming>, peer: Peer, gate: Arc<Gate>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/known" {
        peer.authenticated.store(true, Ordering::Relaxed);
    }
    match request.uri().path() {
        "/wait" => {
            gate.arrived.notify_one();
            gate.release.notified().await;
            Response::new("waited".into())
        }
        "/refuse" => Response::builder()
            .status(413)
            .body("refused".into())
            .unwrap(),
        _ => {
            let body = request
                .into_body()
                .collect()
                .await
                .map(|body| body.to_bytes().len());
            Response::new(format!("{} tls={}", body.unwrap_or(0), peer.tls).into())
        }
    }
}

pub(crate) async fn start(settings: ServerSettings) -> Running {
    let admin = AdminSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
    };
    let server = Server::bind(&settings, &admin, InheritedSockets::default())
        .await
        .unwrap();
    let (public, admin) = (
        server.public_addresses().unwrap()[0],
        server.admin_address().unwrap(),
    );
    let gate = Arc::new(Gate::default());
    let metrics = Metrics::new(LogWriter::discard());
    let telemetry = Arc::new(Telemetry {
        metrics: Arc::clone(&metrics),
        log: LogWriter::discard(),
        format: LogFormat::Json,
        lines: Arc::default(),
    });
    let cors = Cors::new(&CorsSettings {
        allowed_headers: Vec::new(),
        allowed_origins: Vec::new(),
        max_age: Duration::ZERO,
    });
    let head_responder = HeadResponder::new(telemetry, cors);
    let readiness = Arc::new(Readiness::new());
    let (stop, told) = oneshot::channel::<()>();
    let outcome = tokio::spawn({
        let (gate, readiness) = (Arc::clone(&gate), Arc::clone(&readiness));
        async move {
            let handle = move |request, peer| answer(request, peer, Arc::clone(&gate));
            let stop = async {
                drop(told.await);
                StopReason::Signal
            };
            let time = ServingTime::until(stop);
            server
                .run_with(&settings, handle, head_responder, readiness, time)
                .await
        }
    });
    Running {
        public,
        admin,
        gate,
        metrics,
        readiness,
        stop: Some(stop),
        outcome,
    }
}

impl Running {
    /// The metrics, as text.
    pub(crate) fn exposed(&self) -> String {
        self.metrics.encode(TextFormat::Prometheus)
    }

    /// Waits until the stop has begun.
    pub(crate) async fn until_draining(&self) {
        until("the stop begins", async || self.readiness.is_draining()).await;
    }

    /// Waits until the listener is closed.
    pub(crate) async fn until_refused(&self) {
        until("the listener is closed", async || {
            TcpStream::connect(self.public).await.is_err()
        })
        .await;
    }

    /// Waits until so many connections are open.
    pub(crate) async fn until_connections_are(&self, count: usize) {
        let line = format!("liveness_gateway_connections {count}\n");
        until(&line, async || self.exposed().contains(&line)).await;
    }
}

pub(crate) async fn connect(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(bytes.as_bytes()).await.unwrap();
    tcp
}

/// Reads until `end` has arrived.
pub(crate) async fn read_until(tcp: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let byte = soon(tcp.read_u8()).await.unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&read));
        });
        read.push(byte);
    }
    String::from_utf8(read).unwrap()
}

/// Everything up to the end of the connection, which must be orderly.
pub(crate) async fn read_all(tcp: &mut TcpStream) -> String {
    let mut read = String::new();
    soon(tcp.read_to_string(&mut read)).await.unwrap();
    read
}

/// Sends one request on its own connection.
pub(crate) async fn exchange(address: SocketAddr, head: &str) -> String {
    let mut tcp = connect(
        address,
        &format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n"),
    )
    .await;
    read_all(&mut tcp).await
}
