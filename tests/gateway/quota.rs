//! Quotas: every call that reached Qiniu counts, nothing else does, and nobody exceeds a quota.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::support::{
    Answer, Gateway, SESSIONCODE, UNBOUND, VERIFY, crowd, emulator,
    quota::{DAY, clock, left, with_quota},
    raw::{ask, begin, head, whole},
    sealed,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;
use tokio::{io::AsyncReadExt, sync::Semaphore, task::JoinSet};

const PASS: &str = r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1730042187,"result":{"score":0.96,"action_verify":"pass"}}"#;
/// Header fields of an upload that waits for `100 Continue`.
const UPLOAD: &str = "Content-Length: 20000000\r\nExpect: 100-continue";

/// A gateway whose clock is moved by the test.
async fn gateway(upstream: SocketAddr, more: &str) -> (Gateway, Arc<AtomicU64>) {
    let (clock, passed) = clock();
    let qiniu = format!("endpoint = \"http://{upstream}\"");
    let gateway = Gateway::run_by(Gateway::settings(&qiniu, "", more), &clock).await;
    (gateway, passed)
}

fn told(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
}

async fn verify(gateway: &Gateway, upstream: SocketAddr, session: &str) -> Answer {
    let body = verify_body(&sealed::fresh(upstream, session), &video(0));
    gateway.post(false, VERIFY, body).await
}

fn bound(quota: &str) -> String {
    format!("{}{}", sealed::SETTINGS, with_quota(quota))
}

#[tokio::test]
async fn both_limits_are_reported_and_the_quota_resets_at_midnight() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let tight = with_quota("2/day").replace("burst = 1000", "burst = 100");
    let (gateway, passed) = gateway(qiniu, &tight).await;
    for http2 in [false, true] {
        let first = gateway.post(http2, SESSIONCODE, "{}").await;
        assert_eq!(
            first.header("ratelimit-policy"),
            "\"user\";q=100;w=1, \"quota\";q=2;w=86400"
        );
        // The clock of the rate is real, so its part is known the first time only.
        let until = DAY - 3600 * u64::from(!http2);
        if !http2 {
            let wanted = format!("\"user\";r=99;t=1, \"quota\";r=1;t={until}");
            assert_eq!(first.header("ratelimit"), wanted);
        }
        assert_eq!(left(&first), 1);
        // What never becomes a call is free.
        told(
            &gateway.post(http2, SESSIONCODE, "[]").await,
            400,
            "malformed_request",
        );
        assert_eq!(left(&gateway.post(http2, SESSIONCODE, "{}").await), 0);
        for body in ["{}", "[]"] {
            let refused = gateway.post(http2, SESSIONCODE, body).await;
            told(&refused, 429, "quota_exceeded");
            assert_eq!(refused.header("retry-after"), until.to_string());
            assert_eq!(left(&refused), 0);
        }
        let other = gateway
            .request(http2, "POST", SESSIONCODE)
            .header("authorization", crate::support::bearer("user-2"))
            .header("content-type", "application/json");
        assert_eq!(left(&gateway.send(http2, other, "{}").await), 1);
        passed.fetch_add(until, Ordering::SeqCst);
    }
    assert_eq!(handle.session_calls(), 6);
    let metrics = gateway.metrics().await;
    let counted = format!("limit_refusals_total{{route=\"{SESSIONCODE}\",limit=\"quota\"}} 4\n");
    assert!(metrics.contains(&counted), "{metrics}");
}

#[tokio::test]
async fn every_response_after_the_rate_check_says_what_is_left() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let alone = with_quota("5/h").replace("rate = \"1000/s\"", "rate = \"\"");
    let (without_rate, _) = gateway(qiniu, &alone).await;
    let answer = without_rate.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.header("ratelimit-policy"), "\"quota\";q=5;w=3600");
    assert_eq!(answer.header("ratelimit"), "\"quota\";r=4;t=3600");
    let slow = with_quota("5/h").replace(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"1/h\"\nburst = 1",
    );
    let (limited, _) = gateway(qiniu, &slow).await;
    limited.post(false, SESSIONCODE, "{}").await;
    let answer = limited.post(false, SESSIONCODE, "{}").await;
    told(&answer, 429, "rate_limited");
    assert_eq!(
        answer.header("ratelimit"),
        "\"user\";r=0;t=3600, \"quota\";r=4;t=3600"
    );
    let stranger = limited.request(false, "POST", SESSIONCODE);
    let answer = limited.send(false, stranger, "{}").await;
    assert_eq!(
        (
            answer.header("ratelimit"),
            answer.header("ratelimit-policy")
        ),
        ("", "")
    );
}

#[tokio::test]
async fn calls_that_qiniu_did_not_accept_are_refunded_and_the_rest_count() {
    let cut = answer("200 OK", PASS);
    let cut = cut[..cut.len() - 5].to_vec();
    let refusal = answer("200 OK", r#"{"error_code":216501,"error_msg":"x"}"#);
    let short = bound("5/day").replace("timeout = \"20s\"", "timeout = \"1s\"");
    let status = |status: &str| Does::Answer(answer(status, "{}"));
    for (does, remaining) in [
        (Does::Answer(answer("200 OK", PASS)), 4),
        (Does::Answer(refusal), 4),
        (status("500 X"), 4),
        (status("502 X"), 4),
        (status("302 X"), 4),
        (Does::Answer(cut), 4),
        (Does::Close, 4),
        (Does::Hang, 4),
        (status("400 X"), 5),
        (status("401 X"), 5),
        (status("413 X"), 5),
        (status("429 X"), 5),
        (status("503 X"), 5),
        (status("573 X"), 5),
    ] {
        let qiniu = upstream::start(does).await;
        let (gateway, _) = gateway(qiniu.address, &short).await;
        let answer = verify(&gateway, qiniu.address, "S1").await;
        assert_eq!(left(&answer), remaining, "{answer:?}");
        assert_eq!(qiniu.requests(), 1);
    }
}

#[tokio::test]
async fn calls_that_never_left_the_gateway_are_refunded() {
    let (socket, address) = upstream::not_listening();
    let (gateway, _) = gateway(address, &bound("1/day")).await;
    for _ in 0..3 {
        let answer = verify(&gateway, address, "S1").await;
        told(&answer, 502, "upstream_unreachable");
        assert_eq!(left(&answer), 1);
    }
    let listener = socket.listen(16).unwrap();
    let qiniu = upstream::serve_on(listener, Does::Answer(answer("200 OK", PASS)));
    let answered = verify(&gateway, address, "S1").await;
    assert_eq!(
        (answered.body.as_ref(), left(&answered)),
        (PASS.as_bytes(), 0)
    );
    told(
        &verify(&gateway, address, "S2").await,
        429,
        "quota_exceeded",
    );
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn concurrent_calls_never_exceed_the_quota_together() {
    let _alone = crowd::alone().await;
    let gate = Arc::new(Semaphore::new(0));
    let does = Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS));
    let qiniu = upstream::start(does).await;
    let (gateway, _) = gateway(qiniu.address, &bound("10/day")).await;
    let gateway = Arc::new(gateway);
    let mut tries = JoinSet::new();
    for number in 0..60 {
        let gateway = Arc::clone(&gateway);
        let session = sealed::fresh(qiniu.address, &format!("S{number}"));
        let body = verify_body(&session, &video(0));
        tries.spawn(async move { gateway.post(number % 2 == 0, VERIFY, body).await });
    }
    // Rejected requests need no response from Qiniu.
    for _ in 0..50 {
        let refused = tries.join_next().await.unwrap().unwrap();
        told(&refused, 429, "quota_exceeded");
    }
    qiniu.until_requests(10).await;
    gate.add_permits(60);
    for answer in tries.join_all().await {
        assert_eq!((answer.body.as_ref(), left(&answer)), (PASS.as_bytes(), 0));
    }
    assert_eq!(qiniu.requests(), 10);
}

#[tokio::test]
async fn disconnecting_before_the_call_is_free_and_during_the_call_is_not() {
    let gate = Arc::new(Semaphore::new(0));
    let does = Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS));
    let qiniu = upstream::start(does).await;
    let (gateway, _) = gateway(qiniu.address, &bound("2/day")).await;
    let body = verify_body(&sealed::fresh(qiniu.address, "S1"), &video(0));
    let request = whole("user-1", VERIFY, &body);
    let half = begin(gateway.address, &request[..request.len() - 100]).await;
    let held = format!("body_memory_bytes {}", body.len());
    gateway.until_metrics_have(&held).await;
    drop(half);
    gateway.record(VERIFY).await;
    let in_it = begin(gateway.address, &request).await;
    qiniu.until_requests(1).await;
    drop(in_it);
    gateway.until_metrics_have("requests_in_flight 0").await;
    gate.add_permits(2);
    // The retry gets the cached response for free; the next call is the second.
    let retry = gateway.post(true, VERIFY, body).await;
    assert_eq!((retry.body.as_ref(), left(&retry)), (PASS.as_bytes(), 1));
    assert_eq!(left(&verify(&gateway, qiniu.address, "S2").await), 0);
    assert_eq!(qiniu.requests(), 2);
}

#[tokio::test]
async fn a_retry_is_free_and_answered_even_with_the_quota_used_up() {
    let qiniu = upstream::start(Does::Answer(answer("200 OK", PASS))).await;
    let (gateway, passed) = gateway(qiniu.address, &bound("1/day")).await;
    assert_eq!(left(&verify(&gateway, qiniu.address, "S1").await), 0);
    let id = sealed::fresh(qiniu.address, "S2");
    let other = verify_body(&id, &video(0));
    for _ in 0..3 {
        // A session of Qiniu's is the same session however often it was sealed.
        let retry = verify(&gateway, qiniu.address, "S1").await;
        assert_eq!((retry.body.as_ref(), left(&retry)), (PASS.as_bytes(), 0));
        let refused = gateway.post(false, VERIFY, other.clone()).await;
        told(&refused, 429, "quota_exceeded");
    }
    assert_eq!(qiniu.requests(), 1);
    // The session of the rejected request can still be used.
    passed.fetch_add(DAY, Ordering::SeqCst);
    assert_eq!(gateway.post(false, VERIFY, other).await.body, PASS);
}

#[tokio::test]
async fn an_upload_that_is_certainly_rejected_is_not_received() {
    let qiniu = upstream::start(Does::Answer(answer("200 OK", PASS))).await;
    let (gateway, passed) = gateway(qiniu.address, &bound("1/day")).await;
    verify(&gateway, qiniu.address, "S1").await;
    let upload = head("user-1", VERIFY, UPLOAD);
    // It might be a retry: only the body shows that.
    passed.store(360, Ordering::SeqCst);
    let mut invited = begin(gateway.address, &upload).await;
    let mut answer = [0; 21];
    invited.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue");
    drop(invited);
    // By now no response is cached.
    passed.store(361, Ordering::SeqCst);
    let answer = ask(gateway.address, &upload).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\"code\":\"quota_exceeded\""), "{answer}");
    assert_eq!(gateway.record("quota_exceeded").await["bytes_in"], 0);
    // Where none is cached, it is rejected at once.
    let unbound = format!("{UNBOUND}{}", with_quota("1/day"));
    let (gateway, _) = self::gateway(qiniu.address, &unbound).await;
    let body = verify_body("S1", &video(0));
    assert_eq!(gateway.post(false, VERIFY, body).await.body, PASS);
    let answer = ask(gateway.address, &upload).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
}

#[tokio::test]
async fn a_rejection_for_concurrency_costs_no_quota() {
    let gate = Arc::new(Semaphore::new(0));
    let does = Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS));
    let qiniu = upstream::start(does).await;
    let one = bound("2/day").replace("concurrent_per_user = 100", "concurrent_per_user = 1");
    let (gateway, _) = gateway(qiniu.address, &one).await;
    let first = verify(&gateway, qiniu.address, "S1");
    let rest = async {
        qiniu.until_requests(1).await;
        for _ in 0..3 {
            let refused = verify(&gateway, qiniu.address, "S2").await;
            told(&refused, 429, "too_many_concurrent");
            assert_eq!(left(&refused), 1);
        }
        gate.add_permits(2);
    };
    let (first, ()) = tokio::join!(first, rest);
    assert_eq!(left(&first), 1);
    assert_eq!(left(&verify(&gateway, qiniu.address, "S2").await), 0);
}
