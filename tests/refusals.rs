//! Every row of the error table that the gateway can produce by itself, over HTTP/1.1 and HTTP/2: status, code, headers.
#![allow(clippy::too_many_lines, reason = "a table of cases")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use liveness_gateway::emulator::Scenario;
use support::{
    Answer, Gateway, SESSIONCODE, UNBOUND, VERIFY, bearer, emulator, routes, token, upstream,
    verify_body, video,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What every refusal must look like.
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn heads() {
    let (qiniu, ledger) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for http2 in [false, true] {
        let post = |path: &str| {
            gateway
                .request(http2, "POST", path)
                .header("content-type", "application/json")
        };
        for path in [
            "/",
            "/v2/actionliveness/verify/",
            "/v2/actionliveness/%76erify",
            "/V2/actionliveness/verify",
            "/v2//actionliveness/verify",
        ] {
            refused(
                &gateway.send(http2, post(path), "{}").await,
                404,
                "unknown_route",
            );
        }
        let method = gateway
            .send(http2, gateway.request(http2, "GET", VERIFY), "")
            .await;
        refused(&method, 405, "method_not_allowed");
        assert_eq!(method.header("allow"), "POST, OPTIONS");
        for query in ["?", "?a=b"] {
            let answer = gateway
                .send(
                    http2,
                    post(&format!("{SESSIONCODE}{query}")).header("authorization", bearer("u")),
                    "{}",
                )
                .await;
            refused(&answer, 400, "malformed_request");
        }
        if http2 {
            // Over HTTP/1.1 the test's own client writes no second one.
            let differs = post(SESSIONCODE).header("host", "another.example");
            refused(
                &gateway.send(http2, differs, "{}").await,
                400,
                "malformed_request",
            );
        }
        let large = gateway
            .send(
                http2,
                post(SESSIONCODE).header("x-large", "x".repeat(33 * 1024)),
                "{}",
            )
            .await;
        refused(&large, 431, "headers_too_large");
        for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
            let mut request = gateway
                .request(http2, "POST", SESSIONCODE)
                .header("authorization", bearer("u"))
                .header(name, value);
            if name != "content-type" {
                request = request.header("content-type", "application/json");
            }
            refused(
                &gateway.send(http2, request, "{}").await,
                415,
                "unsupported_media_type",
            );
        }
    }
    assert_eq!(ledger.session_calls(), 0);
}

#[tokio::test]
async fn tokens() {
    let (qiniu, ledger) = emulator(Scenario::Pass).await;
    let scoped = routes().replace(
        "kind = \"verify\"",
        "kind = \"verify\"\nscope = \"liveness:verify\"",
    );
    let gateway = Gateway::start(qiniu, "", &scoped).await;
    for http2 in [false, true] {
        let post = |path: &str| {
            gateway
                .request(http2, "POST", path)
                .header("content-type", "application/json")
        };
        let none = gateway.send(http2, post(SESSIONCODE), "{}").await;
        refused(&none, 401, "missing_token");
        assert_eq!(none.header("www-authenticate"), "Bearer");
        let basic = gateway
            .send(
                http2,
                post(SESSIONCODE).header("authorization", "Basic YTpi"),
                "{}",
            )
            .await;
        refused(&basic, 401, "missing_token");
        let forged = gateway
            .send(
                http2,
                post(SESSIONCODE).header("authorization", bearer("u") + "x"),
                "{}",
            )
            .await;
        refused(&forged, 401, "invalid_token");
        assert!(
            forged
                .header("www-authenticate")
                .starts_with("Bearer error=\"invalid_token\"")
        );
        let two = post(SESSIONCODE)
            .header("authorization", bearer("u"))
            .header("authorization", bearer("u"));
        refused(
            &gateway.send(http2, two, "{}").await,
            400,
            "malformed_request",
        );
        let unscoped = gateway
            .send(
                http2,
                post(VERIFY).header("authorization", bearer("u")),
                "{}",
            )
            .await;
        refused(&unscoped, 403, "insufficient_scope");
        assert!(
            unscoped
                .header("www-authenticate")
                .contains("scope=\"liveness:verify\"")
        );
        let scoped = post(VERIFY).header(
            "authorization",
            format!("Bearer {}", token("u", Some("a liveness:verify"))),
        );
        refused(
            &gateway.send(http2, scoped, "{}").await,
            400,
            "malformed_request",
        );
    }
    assert_eq!(ledger.session_calls() + ledger.verify_calls(), 0);
}

#[tokio::test]
async fn bodies() {
    let (qiniu, ledger) = emulator(Scenario::Pass).await;
    let gateway = Gateway::unbound(qiniu).await;
    let good = data_encoding::BASE64.encode(&video(0));
    for http2 in [false, true] {
        for body in [
            String::new(),
            "[]".into(),
            "{".into(),
            "{} x".into(),
            "\u{feff}{}".into(),
            format!("{{\"session_id\":\"S\",\"video_base64\":\"{good}\",\"session_id\":\"T\"}}"),
            format!(
                "{{\"session_id\":\"S\",\"video_base64\":\"{good}\",\"\\u0073ession_id\":\"T\"}}"
            ),
            format!("{{\"session_id\":1,\"video_base64\":\"{good}\"}}"),
            format!("{{\"session_id\":\"\",\"video_base64\":\"{good}\"}}"),
            format!("{{\"video_base64\":\"{good}\"}}"),
            "{\"session_id\":\"S\"}".into(),
            "{\"session_id\":\"S\",\"video_base64\":{}}".into(),
        ] {
            refused(
                &gateway.post(http2, VERIFY, body).await,
                400,
                "malformed_request",
            );
        }
        refused(
            &gateway
                .post(http2, SESSIONCODE, "{\"min_code_length\":\"1\"}")
                .await,
            400,
            "malformed_request",
        );
        refused(
            &gateway.post(http2, SESSIONCODE, vec![b' '; 4097]).await,
            413,
            "body_too_large",
        );
        for (text, reason) in [
            ("", "empty"),
            ("data:video/mp4;base64,AAAA", "data_url"),
            ("AA-_", "not_base64"),
            ("AAA", "not_base64"),
        ] {
            let answer = gateway
                .post(
                    http2,
                    VERIFY,
                    format!("{{\"session_id\":\"S\",\"video_base64\":\"{text}\"}}"),
                )
                .await;
            refused(&answer, 422, "video_rejected");
            assert_eq!(answer.json()["reason"], reason);
        }
        let over = "A".repeat(27_962_032);
        let answer = gateway
            .post(
                http2,
                VERIFY,
                format!("{{\"session_id\":\"S\",\"video_base64\":\"{over}\"}}"),
            )
            .await;
        refused(&answer, 422, "video_rejected");
    }
    assert_eq!(ledger.session_calls() + ledger.verify_calls(), 0);
}

#[tokio::test]
async fn a_chunked_body_over_the_cap_is_refused_and_the_refusal_is_seen() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let head = format!(
        "POST {SESSIONCODE} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        bearer("u")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
    for _ in 0..32 {
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"code\":\"body_too_large\""),
        "{answer}"
    );
}

#[tokio::test]
async fn a_refused_upload_that_waits_for_100_is_not_invited() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn slow_heads_are_answered_and_hosts_must_be_one() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "head_timeout = \"100ms\"", &routes()).await;
    let ask = async |text: &str| {
        let mut stream = tokio::net::TcpStream::connect(gateway.address)
            .await
            .unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for half in [
        "P",
        "POST / HTTP/1.1\r\nHo",
        "POST / HTTP/1.1\r\nHost: g\r\n",
    ] {
        let answer = ask(half).await;
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"request_timeout\""),
            "{half}: {answer}"
        );
    }
    assert_eq!(
        ask("").await,
        "",
        "a connection without a byte is closed without a word"
    );
    let close = "Connection: close\r\n\r\n";
    for hosts in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host:\r\n",
        "Host: a/b\r\n",
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let answer = ask(&format!("POST {SESSIONCODE} HTTP/1.1\r\n{hosts}{close}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("malformed_request"),
            "{answer}"
        );
    }
    assert!(ask("nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn limits() {
    let (qiniu, ledger) = emulator(Scenario::Pass).await;
    let tight = routes().replace(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"6/min\"\nburst = 2",
    );
    for http2 in [false, true] {
        let gateway = Gateway::start(qiniu, "", &tight).await;
        let first = gateway.post(http2, SESSIONCODE, "{}").await;
        assert_eq!(first.header("ratelimit-policy"), "\"user\";q=2;w=20");
        assert_eq!(first.header("ratelimit"), "\"user\";r=1;t=10");
        gateway.post(http2, SESSIONCODE, "not json").await;
        let third = gateway.post(http2, SESSIONCODE, "{}").await;
        refused(&third, 429, "rate_limited");
        let wait: u64 = third.header("retry-after").parse().unwrap();
        assert!((1..=10).contains(&wait));
        assert_eq!(third.header("ratelimit"), "\"user\";r=0;t=20");
        let other = gateway
            .request(http2, "POST", SESSIONCODE)
            .header("authorization", bearer("user-2"))
            .header("content-type", "application/json");
        assert_eq!(gateway.send(http2, other, "{}").await.status, 200);
        let metrics = gateway.metrics().await;
        assert!(metrics.contains(&format!(
            "liveness_gateway_limit_refusals_total{{route=\"{SESSIONCODE}\",limit=\"rate\"}} 1"
        )));
    }
    assert_eq!(ledger.session_calls(), 4);
}

#[tokio::test]
async fn calls_at_once_are_limited_for_each_user() {
    let hanging = upstream::start(upstream::Does::Hang).await;
    let tight = routes()
        .replace("concurrent_per_user = 100", "concurrent_per_user = 1")
        .replace("timeout = \"20s\"", "timeout = \"2s\"");
    let gateway = Gateway::start(hanging.address, "", &(UNBOUND.to_owned() + &tight)).await;
    let body = verify_body("S", &video(0));
    let first = gateway.post(false, VERIFY, body.clone());
    let second = async {
        while hanging.requests() == 0 {
            tokio::task::yield_now().await;
        }
        gateway.post(true, VERIFY, body.clone()).await
    };
    let (first, second) = tokio::join!(first, second);
    refused(&second, 429, "too_many_concurrent");
    assert_eq!(second.header("retry-after"), "1");
    refused(&first, 504, "upstream_timeout");
    assert_eq!(hanging.requests(), 1);
}

#[tokio::test]
async fn no_memory_for_bodies_is_said_at_once_and_memory_comes_back() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let small = routes().replace(
        "kind = \"verify\"",
        "kind = \"verify\"\nmax_body = \"100KiB\"",
    );
    let gateway = Gateway::start(qiniu, "body_memory = \"100KiB\"", &small).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n{{",
        bearer("u")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while !gateway
        .metrics()
        .await
        .contains("liveness_gateway_body_memory_bytes 90000\n")
    {
        tokio::task::yield_now().await;
    }
    for http2 in [false, true] {
        let answer = gateway
            .post(http2, VERIFY, verify_body("S", &video(0)))
            .await;
        refused(&answer, 503, "overloaded");
        assert_eq!(answer.header("retry-after"), "1");
    }
    drop(stream);
    while !gateway
        .metrics()
        .await
        .contains("liveness_gateway_body_memory_bytes 0\n")
    {
        tokio::task::yield_now().await;
    }
    let record = gateway.record("\"bytes_in\":1,").await;
    assert_eq!(
        (record["status"].as_u64(), record["route"].as_str()),
        (Some(400), Some(VERIFY))
    );
}

#[tokio::test]
async fn browsers_may_ask_and_see_refusals() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(
        qiniu,
        "cors.allowed_origins = [\"https://app.example.com\"]",
        &routes(),
    )
    .await;
    for http2 in [false, true] {
        let preflight = gateway
            .request(http2, "OPTIONS", VERIFY)
            .header("origin", "https://app.example.com");
        let answer = gateway
            .send(
                http2,
                preflight.header("access-control-request-method", "POST"),
                "",
            )
            .await;
        assert_eq!(answer.status, 204);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://app.example.com"
        );
        assert_eq!(answer.header("access-control-allow-methods"), "POST");
        assert!(
            answer
                .header("access-control-allow-headers")
                .contains("Authorization")
        );
        let refusal = gateway
            .send(
                http2,
                gateway
                    .request(http2, "POST", VERIFY)
                    .header("origin", "https://app.example.com"),
                "{}",
            )
            .await;
        refused(&refusal, 401, "missing_token");
        assert_eq!(
            refusal.header("access-control-allow-origin"),
            "https://app.example.com"
        );
        let stranger = gateway
            .send(
                http2,
                gateway
                    .request(http2, "POST", VERIFY)
                    .header("origin", "https://evil.example"),
                "{}",
            )
            .await;
        assert_eq!(stranger.header("access-control-allow-origin"), "");
        assert_eq!(stranger.header("vary"), "Origin");
    }
    // Heads that never become a request, which hyper would answer by itself.
    let large = "x".repeat(70_000);
    for (rest, status, code) in [
        ("Content-Length: x\r\n\r\n", 400, "malformed_request"),
        (
            &format!("X-Large: {large}\r\n\r\n"),
            431,
            "headers_too_large",
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(gateway.address)
            .await
            .unwrap();
        let head = format!(
            "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nOrigin: https://app.example.com\r\n{rest}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer.contains("\r\naccess-control-allow-origin: https://app.example.com\r\n"),
            "{answer}"
        );
        let record = gateway.record(code).await;
        assert_eq!(
            (&record["status"], &record["method"]),
            (&status.into(), &"POST".into())
        );
        assert!(answer.contains(record["request_id"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_given_up_after_grace_and_window() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let began = std::time::Instant::now();
    let mut stream = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        bearer("u")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_slow\""), "{answer}");
    assert!(began.elapsed() >= std::time::Duration::from_secs(15));
}
