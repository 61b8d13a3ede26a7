//! All that a reload carries over is in use at once: TLS, the store, verdicts and evidence. No
//! request fails, and each session costs one call.
#![cfg(feature = "redis")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use liveness_gateway::emulator::Scenario;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{FILE, Reloaded, configuration, value};
use crate::{
    connections::resumption,
    support::{
        SESSIONCODE, VERIFY, backend, bearer, emulator, folder::Folder, redis, routes, sealed,
        secure::Authority, until, verify_body, video,
    },
};

const TLS: &str = "[server.tls]\ncertificate = \"tls.crt\"\nprivate_key = \"tls.key\"\n";
const STORE: &str = "[store]\nredis = { env = \"REDIS\" }\ntimeout = \"2s\"\n";

type Sender = http1::SendRequest<Full<Bytes>>;

async fn connect(address: SocketAddr, trusted: &Authority) -> Sender {
    let config = resumption::client(trusted, None, rustls::DEFAULT_VERSIONS);
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Sender, user: &str, path: &str, body: String) -> Value {
    let request = Request::post(path)
        .header("host", "localhost")
        .header("authorization", bearer(user))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.status, 200, "{body:?}");
    serde_json::from_slice(&body).unwrap()
}

/// Sessions without a pause, each with a video and a retry of it. Returns their number.
async fn sessions(mut sender: Sender, user: String, stop: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        let session = ask(&mut sender, &user, SESSIONCODE, "{}".into()).await;
        let id = session["result"]["session_id"].as_str().unwrap();
        let body = verify_body(id, &video(0));
        let first = ask(&mut sender, &user, VERIFY, body.clone()).await;
        assert!(first["verdict"].is_string(), "{first}");
        assert_eq!(ask(&mut sender, &user, VERIFY, body).await, first);
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_lose_nothing_with_tls_the_store_verdicts_and_evidence() {
    if !redis::is_there() {
        return;
    }
    let store = redis::Redis::start().await;
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let app = backend::start(backend::OK).await;
    let authority = Authority::new();
    let (certificate, key) = authority.issue();
    let evidence = app.sections("ca_file = \"ca.pem\"\nrequired = true");
    let sections = [TLS, STORE, sealed::SETTINGS, &evidence, &routes()].concat();
    let text = configuration(qiniu, &sections);
    let folder = Folder::with(&[(FILE, &text), ("tls.crt", &certificate), ("tls.key", &key)]);
    let mut file = Reloaded::start_in(folder, text, &[("REDIS", &store.url())]).await;
    file.gateway.until_metrics_have("store_up 1").await;
    let stop = Arc::<AtomicBool>::default();
    let mut users = Vec::new();
    for number in 0..3 {
        let sender = connect(file.gateway.address, &authority).await;
        let user = format!("steady-{number}");
        users.push(tokio::spawn(sessions(sender, user, Arc::clone(&stop))));
    }
    let changes = [
        ("max_connections = 300", "max_connections = 299"),
        ("quota = \"\"", "quota = \"100000/day\""),
        ("required = true", "required = false"),
        ("audience = \"backend\"", "audience = \"others\""),
        ("max_connections = 50", "max_connections = 51"),
    ];
    for (from, to) in changes.iter().chain(&changes.map(|(from, to)| (to, from))) {
        file.change(from, to).await;
        // Some whole sessions between two reloads.
        let enough = handle.verify_calls() + 4;
        until("there are more calls", async || {
            assert!(users.iter().all(|user| !user.is_finished()), "none fails");
            handle.verify_calls() >= enough
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut count = 0;
    for user in users {
        count += user.await.unwrap();
    }
    let calls = usize::try_from(handle.verify_calls()).unwrap();
    assert_eq!((calls, app.deliveries().len()), (count, count));
    let metrics = file.gateway.metrics().await;
    assert_eq!(value(&metrics, "store_up"), "1");
}
