//! Nobody keeps others out of the memory for bodies: a user has a share of it, a slow body makes
//! room, and so does a retry that only waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::memory::{all_given_back, held};
use crate::support::{
    Answer, Gateway, UNBOUND, VERIFY, bearer, emulator, raw,
    refusal::{refused, told},
    routes,
    sealed::{self, fresh},
    until,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet};

const PASS: &str = r#"{"error_code":0,"result":{"action_verify":"pass"}}"#;
/// The length that slow uploads declare, in bytes; the largest that the routes take.
const DECLARED: usize = 256 * 1024;

/// The routes, with bodies of at most [`DECLARED`] bytes.
fn small_routes() -> String {
    let kind = "kind = \"verify\"";
    routes().replace(kind, &format!("{kind}\nmax_body = \"256KiB\""))
}

/// A gateway with room for four of these bodies, two of them of one user.
async fn gateway(upstream: std::net::SocketAddr, sections: &str) -> Gateway {
    let server = "body_memory = \"1MiB\"\nbody_memory_per_user = \"512KiB\"";
    Gateway::start(upstream, server, &(sections.to_owned() + &small_routes())).await
}

/// Begins an upload that sends a byte and no more, and waits until it holds its memory.
async fn begin_slow(gateway: &Gateway, user: &str) -> TcpStream {
    let before = held(gateway).await;
    let head = raw::head(user, VERIFY, &format!("Content-Length: {DECLARED}"));
    let stream = raw::begin(gateway.address, &(head + "{")).await;
    until("the upload holds memory", async || {
        held(gateway).await > before
    })
    .await;
    stream
}

async fn post(gateway: &Gateway, http2: bool, user: &str, body: String) -> Answer {
    let request = gateway
        .request(http2, "POST", VERIFY)
        .header("authorization", bearer(user))
        .header("content-type", "application/json");
    gateway.send(http2, request, body).await
}

#[tokio::test]
async fn bodies_of_one_user_hold_at_most_their_share() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, UNBOUND).await;
    let slow = [
        begin_slow(&gateway, "user-1").await,
        begin_slow(&gateway, "user-1").await,
    ];
    for http2 in [false, true] {
        let body = verify_body("s", &video(100_000));
        let over = post(&gateway, http2, "user-1", body.clone()).await;
        refused(&over, 429, "too_many_concurrent");
        assert_eq!(over.header("retry-after"), "1");
        let other = post(&gateway, http2, "user-2", body).await;
        assert_eq!(other.status, 200, "{other:?}");
    }
    // A body of unknown length counts as it grows.
    let head = raw::head("user-1", VERIFY, "Transfer-Encoding: chunked");
    let answer = raw::ask(gateway.address, &(head + "1\r\n{\r\n")).await;
    assert!(
        answer.contains("\"code\":\"too_many_concurrent\""),
        "{answer}"
    );
    let metrics = gateway.metrics().await;
    let counted = format!("limit_refusals_total{{route=\"{VERIFY}\",limit=\"body_memory\"}} 3\n");
    assert!(metrics.contains(&counted), "{metrics}");
    drop(slow);
    all_given_back(&gateway, "the slow uploads").await;
    let body = verify_body("s", &video(100_000));
    assert_eq!(post(&gateway, false, "user-1", body).await.status, 200);
}

#[tokio::test]
async fn many_slow_accounts_together_cost_the_others_nothing() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Arc::new(gateway(qiniu, UNBOUND).await);
    let mut attack = JoinSet::new();
    for number in 0..20 {
        let gateway = Arc::clone(&gateway);
        attack.spawn(async move {
            let head = raw::head(
                &format!("attacker-{}", number % 10),
                VERIFY,
                &format!("Content-Length: {DECLARED}"),
            );
            // As soon as one is ended, the next begins, until this task is.
            let mut answers = Vec::new();
            while answers.len() < 20 {
                answers.push(raw::ask(gateway.address, &(head.clone() + "{")).await);
            }
            answers
        });
    }
    until("the memory is full", async || {
        held(&gateway).await == 1024 * 1024
    })
    .await;
    // Each begins when the one before has ended, so that they find room among themselves on the
    // slowest machine.
    let mut normal = JoinSet::new();
    for user in 0..4 {
        let gateway = Arc::clone(&gateway);
        normal.spawn(async move {
            let mut answers = Vec::new();
            for number in 0..25 {
                let body = verify_body("s", &video(60_000));
                let user = format!("user-{user}");
                answers.push(post(&gateway, number % 2 == 0, &user, body).await);
            }
            answers
        });
    }
    let answers: Vec<_> = normal.join_all().await.into_iter().flatten().collect();
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert!(lost <= 1, "{lost} of 100 are lost: {answers:?}");
    let ended = "status=\"408\",code=\"body_too_slow\"}";
    assert!(gateway.metrics().await.contains(ended));
    attack.abort_all();
    while attack.join_next().await.is_some() {}
    all_given_back(&gateway, "the attack").await;
}

#[tokio::test]
async fn an_upload_that_is_ended_for_another_one_can_read_why() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, UNBOUND).await;
    let mut slow = Vec::new();
    for number in 0..4 {
        slow.push(begin_slow(&gateway, &format!("slow-{number}")).await);
    }
    let body = verify_body("s", &video(100_000));
    assert_eq!(post(&gateway, false, "user-1", body).await.status, 200);
    // The first of them is furthest behind.
    let answer = raw::rest(slow.swap_remove(0)).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_slow\""), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert_eq!(held(&gateway).await, 3 * DECLARED as u64);
}

#[tokio::test]
async fn a_body_that_does_not_begin_within_five_seconds_is_ended() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let lines = [
        "Content-Length: 1000",
        "Transfer-Encoding: chunked",
        "Content-Length: 1000\r\nExpect: 100-continue",
    ];
    let began = Instant::now();
    let ask = lines.map(|lines| {
        let head = raw::head("user-1", VERIFY, lines);
        let address = gateway.address;
        tokio::spawn(async move { raw::ask(address, &head).await })
    });
    for (line, answer) in lines.iter().zip(ask) {
        let answer = answer.await.unwrap();
        let last = answer
            .split("HTTP/1.1 100 Continue\r\n\r\n")
            .last()
            .unwrap();
        assert_eq!(
            answer.len() > last.len(),
            line.contains("Expect"),
            "{answer}"
        );
        assert!(last.starts_with("HTTP/1.1 408 "), "{line}: {answer}");
        assert!(last.contains("\"code\":\"body_too_slow\""), "{answer}");
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

/// A first upload whose call is under way, a retry of it that waits, and memory that is full but
/// for these. Then another user's upload that takes the memory of the retry.
async fn with_a_waiting_retry(response: Vec<u8>) -> (Answer, Answer, Answer) {
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), response)).await;
    let gateway = Arc::new(gateway(qiniu.address, sealed::SETTINGS).await);
    let send = |user: &'static str, body: String| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move { post(&gateway, false, user, body).await })
    };
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(180_000));
    let length = body.len() as u64;
    let first = send("user-1", body.clone());
    until("the first call", async || qiniu.requests() == 1).await;
    let retry = send("user-1", body);
    until("the retry waits", async || {
        held(&gateway).await == 2 * length
    })
    .await;
    let mut others = Vec::new();
    for user in ["user-2", "user-3"] {
        let id = sealed::sealed(sealed::KEY, qiniu.address, user, "S2", Duration::ZERO);
        others.push(send(user, verify_body(&id, &video(180_000))));
        let calls = others.len() + 1;
        until("the other calls", async || qiniu.requests() == calls).await;
    }
    assert_eq!(held(&gateway).await, 4 * length);
    let id = sealed::sealed(sealed::KEY, qiniu.address, "user-4", "S3", Duration::ZERO);
    let last = send("user-4", verify_body(&id, &video(180_000)));
    until("the call that found no room", async || {
        qiniu.requests() == 4
    })
    .await;
    gate.add_permits(10);
    let answers = (
        first.await.unwrap(),
        retry.await.unwrap(),
        last.await.unwrap(),
    );
    all_given_back(&gateway, "all of them").await;
    assert_eq!(qiniu.requests(), 4);
    answers
}

#[tokio::test]
async fn a_retry_that_waits_gives_its_memory_back_and_still_gets_the_response() {
    let (first, retry, last) = with_a_waiting_retry(answer("200 OK", PASS)).await;
    for answer in [&first, &retry, &last] {
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_ref()),
            (200, PASS.as_bytes())
        );
    }
}

#[tokio::test]
async fn a_retry_without_its_body_comes_again_if_the_first_was_not_sent() {
    let (first, retry, last) = with_a_waiting_retry(answer("503 Busy", "")).await;
    told(&first, 503, "upstream_busy");
    told(&last, 503, "upstream_busy");
    refused(&retry, 503, "overloaded");
    assert_eq!(retry.header("retry-after"), "1");
}
