//! Wrong heads, tokens and bodies, over HTTP/1.1 and HTTP/2: status, code, headers.
//!
//! Limits are in `limits.rs`, what happens to the connection in `refused_uploads.rs`, what browsers
//! see in `browsers.rs`.

use crate::support::{
    Answer, Gateway, SESSIONCODE, VERIFY, bearer, emulator, raw, refusal::refused, routes, token,
    video,
};
use hyper::http::request::Builder;
use liveness_gateway::emulator::Scenario;

/// Sends a request that must be refused in this way. `label` says what is wrong with it.
async fn rejected(
    gateway: &Gateway,
    http2: bool,
    (label, request, status, code): (&str, Builder, u16, &str),
) -> Answer {
    let answer = gateway.send(http2, request, "{}").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{label}, HTTP/2: {http2}: {answer:?}"
    );
    refused(&answer, status, code);
    answer
}

#[tokio::test]
async fn wrong_heads_are_rejected_with_their_codes() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for http2 in [false, true] {
        let bare = |method: &str, path: &str| gateway.request(http2, method, path);
        let post = |path: &str| bare("POST", path).header("content-type", "application/json");
        let signed = |path: &str| post(path).header("authorization", bearer("u"));
        let text = bare("POST", SESSIONCODE)
            .header("authorization", bearer("u"))
            .header("content-type", "text/plain");
        let encoded = signed(SESSIONCODE).header("content-encoding", "gzip");
        let large = post(SESSIONCODE).header("x-large", "x".repeat(33 * 1024));
        let unknown = [
            ("the root", "/"),
            ("a slash at the end", "/v2/actionliveness/verify/"),
            ("a percent-encoded letter", "/v2/actionliveness/%76erify"),
            ("a capital letter", "/V2/actionliveness/verify"),
            ("an empty segment", "/v2//actionliveness/verify"),
        ];
        let unknown = unknown.map(|(label, path)| (label, post(path), 404, "unknown_route"));
        let queries = [("an empty query", "?"), ("a query", "?a=b")].map(|(label, query)| {
            let path = format!("{SESSIONCODE}{query}");
            (label, signed(&path), 400, "malformed_request")
        });
        let others = [
            ("a large field", large, 431, "headers_too_large"),
            ("plain text", text, 415, "unsupported_media_type"),
            ("an encoded body", encoded, 415, "unsupported_media_type"),
        ];
        for case in unknown.into_iter().chain(queries).chain(others) {
            rejected(&gateway, http2, case).await;
        }
        for method in ["GET", "TRACE"] {
            let other = (method, bare(method, VERIFY), 405, "method_not_allowed");
            let answer = rejected(&gateway, http2, other).await;
            assert_eq!(answer.header("allow"), "POST, OPTIONS");
        }
        // A response to HEAD has the fields alone: h2 takes anything more for a broken stream.
        let head = gateway.send(http2, bare("HEAD", VERIFY), "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (405, 0));
        assert_ne!(head.header("content-length"), "0", "HTTP/2: {http2}");
        if http2 {
            // Over HTTP/1.1 the test's HTTP client writes no second one.
            let two = post(SESSIONCODE).header("host", "another.example");
            let case = ("another host", two, 400, "malformed_request");
            rejected(&gateway, http2, case).await;
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
            let request = gateway.request(http2, "POST", path);
            request.header("content-type", "application/json")
        };
        let with = |path: &str, token: &str| post(path).header("authorization", token);
        let good = bearer("u");
        let scoped = format!("Bearer {}", token("u", Some("a liveness:verify")));
        let none = ("no token", post(SESSIONCODE), 401, "missing_token");
        let answer = rejected(&gateway, http2, none).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let two = with(SESSIONCODE, &good).header("authorization", &good);
        let basic = with(SESSIONCODE, "Basic YTpi");
        let forged = with(SESSIONCODE, &format!("{good}x"));
        let invalid = "Bearer error=\"invalid_token\"";
        let scope = "scope=\"liveness:verify\"";
        for (case, challenge) in [
            (("another scheme", basic, 401, "missing_token"), "Bearer"),
            (("a forged token", forged, 401, "invalid_token"), invalid),
            (("two tokens", two, 400, "malformed_request"), ""),
            (
                ("no scope", with(VERIFY, &good), 403, "insufficient_scope"),
                scope,
            ),
            (
                (
                    "a good scope",
                    with(VERIFY, &scoped),
                    400,
                    "malformed_request",
                ),
                "",
            ),
        ] {
            let answer = rejected(&gateway, http2, case).await;
            let told = answer.header("www-authenticate");
            assert!(told.contains(challenge), "{challenge}: {told}");
        }
    }
    assert_eq!(handle.session_calls() + handle.verify_calls(), 0);
}

/// A body of a `verify` with this video.
fn upload(video: &str) -> String {
    format!("{{\"session_id\":\"S\",\"video_base64\":\"{video}\"}}")
}

#[tokio::test]
async fn malformed_bodies_are_rejected_with_their_codes() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::unbound(qiniu).await;
    let good = upload(&data_encoding::BASE64.encode(&video(0)));
    let with = |member: &str| good.replace('}', &format!(",{member}}}"));
    let session = |value: &str| good.replace("\"session_id\":\"S\"", value);
    for http2 in [false, true] {
        for (label, body) in [
            ("nothing", String::new()),
            ("an array", "[]".into()),
            ("an object without an end", "{".into()),
            ("text behind the object", "{} x".into()),
            ("a byte order mark", "\u{feff}{}".into()),
            ("two sessions", with("\"session_id\":\"T\"")),
            ("the second escaped", with("\"\\u0073ession_id\":\"T\"")),
            ("a number as session", session("\"session_id\":1")),
            ("an empty session", session("\"session_id\":\"\"")),
            ("no session", good.replace("\"session_id\":\"S\",", "")),
            ("no video", "{\"session_id\":\"S\"}".into()),
            (
                "an object as video",
                "{\"session_id\":\"S\",\"video_base64\":{}}".into(),
            ),
        ] {
            let answer = gateway.post(http2, VERIFY, body).await;
            assert_eq!(answer.code(), "malformed_request", "{label}: {answer:?}");
            refused(&answer, 400, "malformed_request");
        }
        let text = "{\"min_code_length\":\"1\"}";
        let answer = gateway.post(http2, SESSIONCODE, text).await;
        refused(&answer, 400, "malformed_request");
        let large = vec![b' '; 4097];
        let answer = gateway.post(http2, SESSIONCODE, large).await;
        refused(&answer, 413, "body_too_large");
    }
    assert_eq!(handle.session_calls() + handle.verify_calls(), 0);
}

#[tokio::test]
async fn unusable_videos_are_rejected_with_their_reasons() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::unbound(qiniu).await;
    for http2 in [false, true] {
        for (label, text, reason) in [
            ("nothing", String::new(), "empty"),
            (
                "a data URL",
                "data:video/mp4;base64,AAAA".into(),
                "data_url",
            ),
            ("the URL alphabet", "AA-_".into(), "not_base64"),
            ("no padding", "AAA".into(), "not_base64"),
            ("over 20 MiB", "A".repeat(27_962_032), "too_large"),
        ] {
            let answer = gateway.post(http2, VERIFY, upload(&text)).await;
            assert_eq!(answer.json()["reason"], reason, "{label}");
            refused(&answer, 422, "video_rejected");
        }
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
