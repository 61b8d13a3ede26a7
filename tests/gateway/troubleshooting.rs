//! Failures as operators meet them: for each, the log or a metric alone names the cause and a fix.
//! `docs/troubleshooting.md` describes them in the same order.

use std::net::SocketAddr;

use crate::{
    connections::resumption,
    support::{
        Gateway, ISSUER, SECRET, SESSIONCODE, UNBOUND, VERIFY, bearer, emulator,
        events::{self, logged, logged_with},
        folder::Folder,
        identity::section,
        raw, routes,
        secure::Authority,
        settings, token_with,
        upstream::{self, Does},
        verify_body, video,
    },
};
use liveness_gateway::{
    emulator::Scenario,
    generate::TokenClaims,
    outbound::{dial::Dialer, names::Names},
};
use rcgen::date_time_ymd;
use rustls::pki_types::ServerName;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsConnector;

mod clocks;
mod program;

const OTHER_SECRET: &str = "another HMAC secret of the tests, also long";

/// Sends a request with a token that is changed like this. Returns its id.
async fn ask(gateway: &Gateway, secret: &str, change: impl FnOnce(&mut TokenClaims<'_>)) -> String {
    let answer = gateway.ask(&token_with(secret, change)).await;
    answer.header("x-request-id").to_owned()
}

#[tokio::test]
async fn a_wrong_audience_or_issuer_is_told_with_the_key_to_compare() {
    events::keep();
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let id = ask(&gateway, SECRET, |claims| claims.audience = "app").await;
    logged(&[
        &id,
        "\"warn\"",
        ISSUER,
        "another audience",
        "identity.audience",
    ])
    .await;
    gateway
        .until_metrics_have("auth_refusals_total{reason=\"wrong_audience\"} 1")
        .await;
    let id = ask(&gateway, SECRET, |claims| claims.issuer = "https://x/").await;
    logged(&[&id, "\"info\"", "issuer is not accepted", "identity.issuer"]).await;
    // A second one within ten seconds is only counted, and its record has the word.
    let id = ask(&gateway, SECRET, |claims| claims.audience = "app").await;
    assert_eq!(gateway.record(&id).await["reason"], "wrong_audience");
    assert_eq!(logged_with(&id), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_whose_users_count_as_one_is_told_as_such() {
    events::keep();
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let rate = "rate_per_address = \"1/day\"";
    let gateway = Gateway::start(qiniu, rate, &routes()).await;
    let trusting = format!("{rate}\ntrusted_proxies = [\"127.0.0.1\"]");
    let trusting = Gateway::start(qiniu, &trusting, &routes()).await;
    let send = async |gateway: &Gateway, field: &str, value: &str| {
        let request = gateway.request(false, "POST", SESSIONCODE);
        let request = request.header(field, value);
        let answer = gateway.send(false, request, "").await;
        answer.header("x-request-id").to_owned()
    };
    send(&gateway, "x-forwarded-for", "192.0.2.1").await;
    // Its own client, as far as anybody can tell.
    let id = send(&gateway, "x-other", "192.0.2.2").await;
    assert_eq!(gateway.record(&id).await["reason"], "address");
    assert_eq!(logged_with(&id), Vec::<String>::new());
    let id = send(&gateway, "forwarded", "for=192.0.2.3").await;
    logged(&[&id, "\"info\"", "server.trusted_proxies", "count as one"]).await;
    // A trusted one that names a client, twice, and one that names nobody, twice.
    send(&trusting, "x-forwarded-for", "192.0.2.1").await;
    let id = send(&trusting, "x-forwarded-for", "192.0.2.1").await;
    assert_eq!(trusting.record(&id).await["reason"], "address");
    assert_eq!(logged_with(&id), Vec::<String>::new());
    send(&trusting, "x-other", "192.0.2.1").await;
    let id = send(&trusting, "x-other", "192.0.2.1").await;
    logged(&[&id, "\"warn\"", "X-Forwarded-For", "count as one"]).await;
}

#[tokio::test]
async fn a_replica_with_another_seal_key_is_told_with_the_key_to_compare() {
    events::keep();
    let (qiniu, _) = emulator(Scenario::Pass).await;
    // Each has a key of its own.
    let (one, other) = (Gateway::plain(qiniu).await, Gateway::plain(qiniu).await);
    let session = one.post(false, SESSIONCODE, "").await;
    let session = session.json()["result"]["session_id"].clone();
    let body = verify_body(session.as_str().unwrap(), &video(1_000));
    let answer = other.post(false, VERIFY, body).await;
    assert_eq!(answer.code(), "session_rejected");
    let id = answer.header("x-request-id");
    logged(&[id, "\"info\"", "compare sessions.seal_key"]).await;
}

#[tokio::test]
async fn an_expired_certificate_is_told_on_either_side() {
    events::keep();
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let authority = Authority::new();
    let (certificate, key) = authority.issue_with(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let files = [("tls.crt", certificate.as_str()), ("tls.key", &key)];
    let folder = Folder::with(&files);
    let path = |name| folder.path().join(name).display().to_string();
    let tls = format!(
        "[server.tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
        path("tls.crt"),
        path("tls.key")
    );
    let gateway = Gateway::start(qiniu, "", &(tls + &routes())).await;
    let config = resumption::client(&authority, None, rustls::DEFAULT_VERSIONS);
    let tcp = TcpStream::connect(gateway.address).await.unwrap();
    let peer = tcp.local_addr().unwrap().to_string();
    let name = ServerName::try_from("localhost").unwrap();
    assert!(TlsConnector::from(config).connect(name, tcp).await.is_err());
    logged(&[
        &peer,
        "\"warn\"",
        "certificate_rejected",
        "has expired",
        "renew",
    ])
    .await;
    gateway
        .until_metrics_have("tls_handshakes_total{outcome=\"certificate_rejected\"} 1")
        .await;
    // Plain HTTP to the TLS port.
    let mut plain = TcpStream::connect(gateway.address).await.unwrap();
    let peer = plain.local_addr().unwrap().to_string();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    logged(&[&peer, "\"info\"", "not_tls", "plain HTTP", "https://"]).await;
    gateway
        .until_metrics_have("tls_handshakes_total{outcome=\"not_tls\"} 1")
        .await;
}

#[tokio::test]
async fn a_wrong_key_is_told_with_the_key_to_replace() {
    events::keep();
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let id = ask(&gateway, OTHER_SECRET, |_| {}).await;
    logged(&[
        &id,
        ISSUER,
        "signature is invalid",
        "secret or key",
        "replace it",
    ])
    .await;
    let mut other = Gateway::settings(&format!("endpoint = \"http://{qiniu}\""), "", &routes());
    other.qiniu.credentials.secret_key = liveness_gateway::secret::Secret::new("another");
    let gateway = Gateway::run(other).await;
    let answer = gateway.post(false, SESSIONCODE, "").await;
    let id = answer.header("x-request-id");
    logged(&[
        id,
        "\"error\"",
        "HTTP 401",
        "qiniu.access_key and qiniu.secret_key",
    ])
    .await;
    let counted = "upstream_requests_total{route=\"/v2/actionliveness/sessioncode\",outcome=\"rejected_credentials\"} 1";
    gateway.until_metrics_have(counted).await;
}

#[tokio::test]
async fn an_unreachable_issuer_is_told_with_what_to_check() {
    events::keep();
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let (_socket, refusing) = upstream::not_listening();
    let issuer = format!("http://{refusing}");
    let endpoint = format!("endpoint = \"http://{qiniu}\"");
    let identity = section(&issuer, "");
    let gateway = Gateway::run(settings(&endpoint, "", &(identity + &routes()))).await;
    logged(&[
        &issuer,
        "\"error\"",
        "503 until it succeeds",
        "check the address, the network",
    ])
    .await;
    let counted = format!("key_set_fetches_total{{issuer=\"{issuer}\",outcome=\"unreachable\"}} 1");
    gateway.until_metrics_have(&counted).await;
}

#[tokio::test]
async fn full_memory_is_told_with_the_key_to_raise() {
    events::keep();
    let qiniu = upstream::start(Does::Hang).await;
    let sections = UNBOUND.to_owned()
        + &routes().replace(
            "kind = \"verify\"",
            "kind = \"verify\"\nmax_body = \"1MiB\"",
        );
    let gateway = Gateway::start(qiniu.address, "body_memory = \"1MiB\"", &sections).await;
    let body = verify_body("S", &video(600_000));
    let whole = raw::whole("user-1", VERIFY, &body);
    let _held = raw::begin(gateway.address, &whole).await;
    gateway
        .until_metrics_have(&format!("body_memory_bytes {}", body.len()))
        .await;
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer("user-2"))
        .header("content-type", "application/json");
    let answer = gateway.send(false, request, body).await;
    assert_eq!(answer.code(), "overloaded");
    let id = answer.header("x-request-id");
    logged(&[id, "\"warn\"", "raise server.body_memory"]).await;
    assert_eq!(gateway.record(id).await["reason"], "memory_full");
}

#[tokio::test]
async fn a_slow_qiniu_is_told_with_the_timeout_to_raise() {
    events::keep();
    let qiniu = upstream::start(Does::Hang).await;
    let short = routes().replace("timeout = \"2s\"", "timeout = \"50ms\"");
    let gateway = Gateway::start(qiniu.address, "", &short).await;
    let answer = gateway.post(false, SESSIONCODE, "").await;
    let id = answer.header("x-request-id");
    logged(&[
        id,
        "\"warn\"",
        "did not respond within the route's timeout",
        "raise that",
    ])
    .await;
    assert_eq!(gateway.record(id).await["reason"], "timeout");

    // A caller that has left gets no response, but the operator is told.
    let longer = routes().replace("timeout = \"2s\"", "timeout = \"300ms\"");
    let gateway = Gateway::start(qiniu.address, "", &longer).await;
    let before = qiniu.requests();
    let caller = raw::begin(gateway.address, &raw::whole("user-1", SESSIONCODE, "{}")).await;
    qiniu.until_requests(before + 1).await;
    drop(caller);
    let record = gateway.record("caller_left").await;
    assert_eq!(record["reason"], "timeout");
    let id = record["request_id"].as_str().unwrap();
    logged(&[id, "\"warn\"", "upstream_timeout", "raise that"]).await;
}

#[tokio::test]
async fn a_name_that_is_not_resolved_is_told_as_such() {
    events::keep();
    let endpoint = "endpoint = \"https://qiniu.example\"";
    let mut unknown = Gateway::settings(endpoint, "", &routes());
    unknown.qiniu.dialer = Dialer::default().with_names(Names::table([]));
    let gateway = Gateway::run(unknown).await;
    let answer = gateway.post(false, SESSIONCODE, "").await;
    let id = answer.header("x-request-id");
    logged(&[
        id,
        "\"warn\"",
        "its name has no address",
        "this machine's DNS",
    ])
    .await;
    assert_eq!(gateway.record(id).await["reason"], "unreachable");
}

#[tokio::test]
async fn a_qiniu_that_is_not_reached_is_told_with_its_cause() {
    events::keep();
    let authority = Authority::new();
    let expired = authority.acceptor_with(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    for (acceptor, advice) in [
        (expired, "renew that certificate at the server"),
        (Authority::new().acceptor(), "as ca_file"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(acceptor.accept(stream).await);
            }
        });
        let folder = Folder::with(&[("ca.pem", &authority.pem())]);
        let endpoint = format!(
            "endpoint = \"https://localhost:{}\"\nca_file = \"{}\"",
            address.port(),
            folder.path().join("ca.pem").display()
        );
        let gateway = Gateway::start_at(&endpoint, "", &routes()).await;
        let answer = gateway.post(false, SESSIONCODE, "").await;
        logged(&[answer.header("x-request-id"), "can't be reached", advice]).await;
    }
}
