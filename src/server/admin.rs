//! The admin listener: `/livez`, `/readyz` and `/metrics`, over plain HTTP/1.1 and for the operator's network only.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::telemetry::Observer;

/// Connections at once.
const MAX_CONNECTIONS: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Whether the gateway can do its job.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
}

impl Readiness {
    /// From now on, no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn answer(&self) -> (StatusCode, String) {
        let draining = self.draining.load(Ordering::Relaxed);
        let status = if draining {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        (
            status,
            format!(
                "{{\"ready\":{},\"checks\":{{\"keys_known\":true,\"not_draining\":{}}}}}\n",
                !draining, !draining
            ),
        )
    }
}

pub(super) async fn serve(
    listener: TcpListener,
    observer: Arc<Observer>,
    readiness: Arc<Readiness>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (observer, readiness) = (Arc::clone(&observer), Arc::clone(&readiness));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &observer, &readiness);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // What goes wrong on the connection is its peer's affair.
            let _ = connection.await;
            drop(place);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    observer: &Observer,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    let (status, content_type, body) = match request.uri().path() {
        "/livez" | "/readyz" | "/metrics"
            if request.method() != Method::GET && request.method() != Method::HEAD =>
        {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "this path takes GET\n".to_owned(),
            )
        }
        "/livez" => (StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/readyz" => {
            let (status, body) = readiness.answer();
            (status, JSON, body)
        }
        "/metrics" => (StatusCode::OK, OPENMETRICS, observer.metrics.encode()),
        _ => (
            StatusCode::NOT_FOUND,
            TEXT,
            "there are /livez, /readyz and /metrics here\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
