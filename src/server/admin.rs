//! The admin listener: `/livez`, `/readyz` and `/metrics` over plain HTTP/1.1, on its own address.
//!
//! Relies on the operator to keep that address inside the network. Serves one request per
//! connection, with few connections and short timeouts. Responds while the public listener is full,
//! while any number of other connections is silent, and while no file descriptor is free. Metrics
//! are collected where that may block, so no probe waits for a scrape. Never reads a body.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{
        ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::oneshot,
    task::{JoinSet, spawn_blocking},
};

use super::{
    ServingTime,
    accept::{AcceptedConnection, Acceptor, Scarcity},
    activity::{ConnectionActivity, ConnectionTimeouts, RequestGuard},
    listeners::BoundListener,
    metrics_format::negotiate,
    table::{ConnectionPlace, ConnectionTable, HEAD_BUDGET},
};
use crate::{lifecycle::Readiness, telemetry::metrics::Metrics};

/// Maximum number of connections. In place of one more, the oldest that is silent goes.
pub(super) const MAX_CONNECTIONS: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of a whole connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// In a full house the oldest silent connection goes at once, so that a probe behind a flood of
/// newcomers waits for none of them. One whose request has arrived is served all the same.
const GRACE: Duration = Duration::ZERO;
const TEXT: &str = "text/plain; charset=utf-8";
/// Read buffer, in bytes. Heads of probes and scrapers are far smaller.
const READ_BUFFER: usize = 16 * 1024;

/// Serves until the future is dropped, or until another process serves on the same socket. A socket
/// of an earlier process is left to that one until this one serves: a probe asks whether users are
/// served.
pub(super) async fn serve(
    listener: BoundListener,
    scarcity: Arc<Scarcity>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    time: ServingTime<oneshot::Receiver<()>, oneshot::Receiver<()>>,
) {
    let is_shared = listener.is_shared();
    let begin = async {
        if is_shared && time.begin.await.is_err() {
            std::future::pending().await
        }
    };
    let handed_over = async { drop(time.end.await) };
    scarcity.reserve.fill();
    let mut tasks = JoinSet::new();
    let mut acceptor = Acceptor::new(vec![listener], table(), Arc::clone(&scarcity), true);
    let serve = |AcceptedConnection { tcp, place, .. }| {
        let (metrics, readiness) = (Arc::clone(&metrics), Arc::clone(&readiness));
        let scarcity = Arc::clone(&scarcity);
        async move {
            let ConnectionPlace { activity, .. } = &place;
            let served = serve_connection(tcp, activity, &metrics, &readiness);
            let served = activity.unless_evicted(served);
            drop(tokio::time::timeout(CONNECTION_TIMEOUT, served).await);
            // The connection may have used one of these descriptors.
            scarcity.reserve.fill();
        }
    };
    acceptor
        .accept_during(begin, handed_over, &mut tasks, &serve)
        .await;
    acceptor.close(true, &mut tasks, &serve).await;
    while tasks.join_next().await.is_some() {}
}

fn table() -> Arc<ConnectionTable> {
    let timeouts = ConnectionTimeouts {
        head: HEAD_TIMEOUT,
        idle: HEAD_TIMEOUT,
        grace: GRACE,
    };
    ConnectionTable::new(MAX_CONNECTIONS, HEAD_BUDGET, timeouts)
}

async fn serve_connection(
    tcp: TcpStream,
    activity: &Arc<ConnectionActivity>,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
) {
    let service = service_fn(|request| {
        let in_flight = RequestGuard::uncounted(activity);
        async move {
            let response = respond(&request, metrics, readiness).await;
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(READ_BUFFER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection failed");
    }
}

async fn respond<B>(
    request: &Request<B>,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    let path = request.uri().path();
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        return response(
            StatusCode::NOT_FOUND,
            TEXT,
            "available paths: /livez, /readyz, /metrics\n",
        );
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = response(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "allowed methods: GET, HEAD\n",
        );
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" => response(StatusCode::OK, TEXT, "ok\n"),
        "/metrics" => scrape(request, Arc::clone(metrics), readiness.is_ready()).await,
        _ if readiness.is_ready() => response(StatusCode::OK, JSON, readiness.to_json()),
        _ => response(StatusCode::SERVICE_UNAVAILABLE, JSON, readiness.to_json()),
    }
}

/// Collects the metrics, in the format that the scraper asks for.
async fn scrape<B>(
    request: &Request<B>,
    metrics: Arc<Metrics>,
    ready: bool,
) -> Response<Full<Bytes>> {
    let format = negotiate(request.headers());
    metrics.ready.set(i64::from(ready));
    let mut response = match spawn_blocking(move || metrics.encode(format)).await {
        Ok(text) => response(StatusCode::OK, format.content_type(), text),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be collected");
            response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "no metrics\n")
        }
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_name(ACCEPT));
    response
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newcomer_waits_for_no_silent_connection_however_young() {
        let table = table();
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            silent.push(table.place().await);
        }
        for place in &silent {
            assert!(table.evict_idle());
            assert!(place.activity.is_evicted(), "the oldest goes first");
        }
        assert!(!table.evict_idle());
    }
}
