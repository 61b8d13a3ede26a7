//! Wrong heads, tokens and bodies, over HTTP/1.1 and HTTP/2: status, code, headers.
//!
//! Limits are in `limits.rs`, what happens to the connection in `refused_uploads.rs`, what browsers
//! see in `browsers.rs`.

use crate::support::{
    Gateway, SESSIONCODE, VERIFY, bearer, emulator, raw, refusal::refused, routes, token, video,
};
use liveness_gateway::emulator::Scenario;

#[tokio::test]
async fn wrong_heads_are_rejected_with_their_codes() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
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
            // Over HTTP/1.1 the test's HTTP client writes no second one.
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
    assert_eq!(handle.session_calls(), 0);
}

#[tokio::test]
async fn wrong_tokens_are_rejected_with_their_codes() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
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
    assert_eq!(handle.session_calls() + handle.verify_calls(), 0);
}

#[tokio::test]
async fn wrong_bodies_are_rejected_with_their_codes() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
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
    assert_eq!(handle.session_calls() + handle.verify_calls(), 0);
}

#[tokio::test]
async fn slow_heads_time_out_and_exactly_one_host_is_required() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "head_timeout = \"100ms\"", &routes()).await;
    let ask = async |text: &str| raw::ask(gateway.address, text).await;
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
