//! The graceful stop, the admin listener, addresses.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use liveness_gateway::{
    handover::{InheritedSockets, ListenKey},
    lifecycle::IssuerKeys,
    server,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::certificates;
use super::peer::{GET, WAIT, connect, exchange, read_all, read_until, settings, start};
use crate::support::soon;

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_stop_lets_requests_finish_and_accepts_no_more() {
    let mut running = start(settings()).await;
    let mut idle = connect(running.public, GET).await;
    read_until(&mut idle, "0 tls=false").await;
    let mut fresh = connect(running.public, "").await;
    let mut waiting = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    let tcp = TcpStream::connect(running.public).await.unwrap();
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://x/wait")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let h2 = tokio::spawn(sender.send_request(request));
    soon(running.gate.arrived.notified()).await;
    assert!(
        exchange(running.admin, "GET /readyz HTTP/1.1")
            .await
            .starts_with("HTTP/1.1 200 ")
    );

    running.stop.take().unwrap().send(()).unwrap();
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(read_all(&mut fresh).await, "");
    let ready = exchange(running.admin, "GET /readyz HTTP/1.1").await;
    assert!(
        ready.starts_with("HTTP/1.1 503 ") && ready.contains(r#""drain":"draining""#),
        "{ready}"
    );
    assert!(TcpStream::connect(running.public).await.is_err());
    running.gate.release.notify_waiters();
    let answer = read_all(&mut waiting).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("waited"),
        "{answer}"
    );
    let answer = soon(h2).await.unwrap().unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "waited"
    );
    soon(connection).await.unwrap().unwrap();
    assert_eq!(soon(&mut running.outcome).await.unwrap().cut, 0);
    assert!(
        running
            .exposed()
            .contains("liveness_gateway_requests_in_flight 0")
    );
}

#[tokio::test]
async fn requests_that_are_on_their_way_at_a_stop_are_served_and_are_the_last() {
    let mut running = start(settings()).await;
    let mut used = connect(running.public, GET).await;
    read_until(&mut used, "0 tls=false").await;
    let mut fresh = connect(running.public, "").await;
    running.until_connections_are(2).await;
    let mut waiting = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    running.stop.take().unwrap().send(()).unwrap();
    running.until_refused().await;
    for stream in [&mut used, &mut fresh] {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let answer = read_all(stream).await;
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.ends_with("0 tls=false"), "{answer}");
    }
    running.gate.release.notify_waiters();
    read_all(&mut waiting).await;
    assert_eq!(soon(running.outcome).await.unwrap().cut, 0);
}

#[tokio::test]
async fn what_waits_in_the_queue_at_a_stop_is_served() {
    let mut full = settings();
    full.max_connections = 1;
    let mut running = start(full).await;
    let mut first = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    let mut queued = Vec::new();
    for _ in 0..20 {
        queued.push(connect(running.public, GET).await);
    }
    running.stop.take().unwrap().send(()).unwrap();
    // The only place is taken until this request has ended.
    running.until_draining().await;
    running.gate.release.notify_waiters();
    read_all(&mut first).await;
    for stream in &mut queued {
        let answer = read_all(stream).await;
        assert!(answer.ends_with("0 tls=false"), "{answer}");
    }
    assert_eq!(soon(running.outcome).await.unwrap().cut, 0);
    assert!(TcpStream::connect(running.public).await.is_err());
}

#[tokio::test]
async fn a_lame_duck_is_not_ready_and_serves_new_connections_until_its_time_has_passed() {
    let mut lame = settings();
    lame.lame_duck = TEN_MINUTES;
    let mut running = start(lame).await;
    let mut used = connect(running.public, GET).await;
    read_until(&mut used, "0 tls=false").await;
    running.stop.take().unwrap().send(()).unwrap();
    running.until_draining().await;
    let ready = exchange(running.admin, "GET /readyz HTTP/1.1").await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    for stream in [&mut used, &mut connect(running.public, "").await] {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let answer = read_all(stream).await;
        assert!(answer.contains("connection: close"), "{answer}");
    }

    let mut short = settings();
    short.lame_duck = Duration::from_millis(20);
    let mut running = start(short).await;
    let mut waiting = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    running.stop.take().unwrap().send(()).unwrap();
    running.until_refused().await;
    running.gate.release.notify_waiters();
    assert!(read_all(&mut waiting).await.ends_with("waited"));
    assert_eq!(soon(running.outcome).await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_stop_closes_connections_that_do_not_finish() {
    let mut short = settings();
    short.drain_timeout = Duration::from_millis(50);
    let mut running = start(short).await;
    let mut waiting = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    running.stop.take().unwrap().send(()).unwrap();
    assert_eq!(soon(&mut running.outcome).await.unwrap().cut, 1);
    assert!(matches!(
        soon(waiting.read(&mut [0; 8])).await,
        Ok(0) | Err(_)
    ));
    assert!(running.exposed().contains("liveness_gateway_connections 0"));
}

/// None of these ends by itself before ten minutes have passed.
#[tokio::test]
async fn a_stop_ends_every_kind_of_connection_in_time() {
    for tls in [false, true] {
        let mut long = settings();
        long.drain_timeout = Duration::from_millis(200);
        (long.head_timeout, long.idle_timeout) = (TEN_MINUTES, TEN_MINUTES);
        long.tls = tls.then(|| certificates::files().0.server_config(None).unwrap());
        let mut running = start(long).await;
        let mut open = Vec::new();
        for bytes in [
            "",
            "GET / HTTP/1.1\r\nHost:",
            "PRI * HT",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04",
            "\x16\x03\x01\x02",
            GET,
            WAIT,
        ] {
            open.push(connect(running.public, bytes).await);
        }
        // One whose peer reads no response.
        let mut deaf = connect(running.public, "").await;
        let flood = GET.repeat(1000);
        let flood = async { while deaf.write_all(flood.as_bytes()).await.is_ok() {} };
        let blocked = tokio::time::timeout(Duration::from_millis(500), flood).await;
        assert!(tls || blocked.is_err());
        if !tls {
            soon(running.gate.arrived.notified()).await;
        }
        running.stop.take().unwrap().send(()).unwrap();
        let outcome = soon(running.outcome).await.unwrap();
        assert!(tls || outcome.cut >= 3, "{outcome:?}");
    }
}

#[tokio::test]
async fn the_admin_listener_serves_probes_and_metrics() {
    let running = start(settings()).await;
    let ask = |head: &'static str| exchange(running.admin, head);
    assert!(
        ask("GET /livez HTTP/1.1")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    let ready = ask("GET /readyz HTTP/1.1").await;
    assert!(
        ready.starts_with("HTTP/1.1 200 ") && ready.contains(r#"{"ready":true,"#),
        "{ready}"
    );
    running.readiness.update_keys(|| IssuerKeys {
        known: 0,
        missing: vec!["https://a.example".into()],
    });
    let ready = ask("GET /readyz HTTP/1.1").await;
    let (_, body) = ready.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert_eq!(
        (&body["ready"], &body["checks"]["keys"]),
        (&false.into(), &"unknown".into())
    );
    running.readiness.update_keys(IssuerKeys::default);
    let head = ask("HEAD /readyz HTTP/1.1").await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let metrics = ask("GET /metrics HTTP/1.1").await;
    assert!(metrics.contains("liveness_gateway_ready 1\n"), "{metrics}");
    let refused = ask("POST /livez HTTP/1.1").await;
    assert!(
        refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"),
        "{refused}"
    );
    assert!(
        ask("GET /metrics/ HTTP/1.1")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn metrics_are_text_unless_the_scraper_prefers_open_metrics() {
    let running = start(settings()).await;
    let text = "content-type: text/plain; version=0.0.4; charset=utf-8\r\n";
    let open = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    for (accept, content_type) in [
        ("", text),
        ("\r\nAccept: text/plain", text),
        (
            "\r\nAccept: application/openmetrics-text;version=1.0.0",
            open,
        ),
        (
            "\r\nAccept: text/plain;q=0.2\r\nAccept: application/openmetrics-text;q=0.3",
            open,
        ),
    ] {
        let head = format!("GET /metrics HTTP/1.1{accept}");
        let answer = exchange(running.admin, &head).await;
        assert!(answer.contains(content_type), "{accept}: {answer}");
        assert!(answer.contains("\r\nvary: accept\r\n"), "{answer}");
        assert_eq!(
            answer.ends_with("# EOF\n"),
            content_type == open,
            "{answer}"
        );
        assert_eq!(answer.contains("# UNIT "), content_type == open, "{answer}");
    }
}

#[tokio::test]
async fn the_error_names_an_address_that_is_in_use() {
    let running = start(settings()).await;
    let wanted = [(ListenKey::Public, running.public)];
    let error = server::bind(&wanted, InheritedSockets::default())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains(&running.public.to_string()),
        "{error}"
    );
}
