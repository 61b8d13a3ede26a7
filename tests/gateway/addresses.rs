//! `server.rate_per_address`: every request counts for its client's address, which only trusted
//! proxies name.

use bytes::Bytes;
use hyper::http::request::Builder;
use liveness_gateway::emulator::Scenario;

use crate::support::{Answer, Gateway, SESSIONCODE, bearer, emulator, refusal::refused, routes};

/// A rate that does not come back while a test runs.
const THREE: &str = "rate_per_address = \"3/day\"\n";
const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";

/// A session code for a user whose address these fields tell.
async fn ask(gateway: &Gateway, fields: &[(&str, &str)]) -> Answer {
    let request = gateway
        .request(false, "POST", SESSIONCODE)
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json");
    let with = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    let request = fields.iter().fold(request, with);
    gateway.send(false, request, "{}").await
}

/// How many of five requests with these fields are served.
async fn served(gateway: &Gateway, fields: &[(&str, &str)]) -> usize {
    let mut served = 0;
    for _ in 0..5 {
        let answer = ask(gateway, fields).await;
        match answer.status.as_u16() {
            200 => served += 1,
            _ => refused(&answer, 429, "rate_limited"),
        }
    }
    served
}

#[tokio::test]
async fn every_request_counts_before_anything_is_known_of_it() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let cors = "[server.cors]\nallowed_origins = [\"https://app.example.com\"]\n";
    for http2 in [false, true] {
        for (method, path, token, status) in [
            ("POST", SESSIONCODE, bearer("user-1"), 200),
            ("POST", SESSIONCODE, "Bearer forged".to_owned(), 401),
            ("POST", "/unknown", bearer("user-1"), 404),
            ("OPTIONS", SESSIONCODE, String::new(), 204),
            ("DELETE", SESSIONCODE, String::new(), 405),
            (
                "POST",
                "/v2/actionliveness/sessioncode?",
                String::new(),
                400,
            ),
        ] {
            let gateway = Gateway::start(qiniu, &(THREE.to_owned() + cors), &routes()).await;
            let request = || {
                gateway
                    .request(http2, method, path)
                    .header("authorization", token.clone())
                    .header("origin", "https://app.example.com")
                    .header("content-type", "application/json")
            };
            for _ in 0..3 {
                let answer = gateway.send(http2, request(), Bytes::new()).await;
                assert_eq!(answer.status, status, "{method} {path}");
            }
            let answer = gateway.send(http2, request(), Bytes::new()).await;
            refused(&answer, 429, "rate_limited");
            assert!(
                answer.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("this address")
            );
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((28_000..=28_800).contains(&wait), "{wait}");
            assert_eq!(
                answer.header("access-control-allow-origin"),
                "https://app.example.com"
            );
            assert!(answer.headers.get("ratelimit").is_none());
            let closes = answer.headers.get("connection").is_some();
            assert_eq!(closes, !http2, "too many refusals on one connection");
            let record = gateway.record("rate_limited").await;
            assert_eq!(
                (&record["route"], &record["user"]),
                (&().into(), &().into())
            );
            assert!(gateway.metrics().await.contains(
                "liveness_gateway_limit_refusals_total{route=\"none\",limit=\"address\"} 1\n"
            ));
        }
    }
    assert_eq!(handle.session_calls(), 6);
}

#[tokio::test]
async fn without_the_key_no_address_is_limited() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "", &routes()).await;
    assert_eq!(served(&gateway, &[]).await, 5);
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_cannot_choose_its_address() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let elsewhere = THREE.to_owned() + "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n";
    let gateway = Gateway::start(qiniu, &elsewhere, &routes()).await;
    let forged = |hop: usize| format!("192.0.2.{hop}");
    for hop in 0..6 {
        let (listed, element) = (forged(hop), format!("for={}", forged(hop)));
        let fields = [
            ("x-forwarded-for", &*listed),
            ("forwarded", &*element),
            ("x-request-id", "forged"),
        ];
        let answer = ask(&gateway, &fields).await;
        assert_eq!(answer.status == 200, hop < 3, "{hop}");
    }
    let log = gateway.log();
    assert!(
        !log.contains("forged") && !log.contains("192.0.2."),
        "{log}"
    );
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_are_counted_apart() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, &(THREE.to_owned() + TRUSTED), &routes()).await;
    let xff = "x-forwarded-for";
    for (fields, wanted) in [
        (&[(xff, "192.0.2.1")][..], 3),
        (&[(xff, "192.0.2.2:4711, 10.0.0.9")], 3),
        (&[("forwarded", "for=192.0.2.3;proto=https")], 3),
        // The same client as before, in other words and with a forged hop on the left.
        (&[(xff, "6.6.6.6, ::ffff:192.0.2.1")], 0),
        (&[(xff, "6.6.6.7"), (xff, "192.0.2.2")], 0),
        (
            &[("forwarded", "for=6.6.6.8;by=\", for=\"192.0.2.3:9\"")],
            0,
        ),
        // One subscriber has a /64.
        (&[(xff, "2001:db8:1:1::1")], 3),
        (&[(xff, "2001:db8:1:1:ffff::2")], 0),
        (&[(xff, "[2001:db8:1:2::1]:443")], 3),
        // In doubt it is the proxy, whichever addresses are claimed.
        (&[(xff, "unknown")], 3),
        (&[(xff, "192.0.2.9"), ("forwarded", "for=192.0.2.10")], 0),
        (&[], 0),
    ] {
        assert_eq!(served(&gateway, fields).await, wanted, "{fields:?}");
    }
}

#[tokio::test]
async fn the_record_has_the_path_that_a_trusted_proxy_sends() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, TRUSTED, &routes()).await;
    for (id, name, value, wanted) in [
        (
            "azure",
            "x-forwarded-for",
            "evil\" text, 192.0.2.7:4711, 10.0.0.9",
            "192.0.2.7:4711, 10.0.0.9",
        ),
        (
            "rfc-7239",
            "forwarded",
            "for=\"[2001:db8::1]:80\";host=evil",
            "[2001:db8::1]:80",
        ),
    ] {
        ask(&gateway, &[("x-request-id", id), (name, value)]).await;
        assert_eq!(gateway.record(id).await["forwarded_for"], wanted);
    }
    assert!(!gateway.log().contains("evil"));
}
