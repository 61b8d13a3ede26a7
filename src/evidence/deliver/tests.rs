//! What is sent, how often, and what counts as delivered.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    evidence::signature::WebhookSecret, memory::BodyMemory, outbound::origin::Url,
    qiniu::retained::ResponseCollector, secret::Secret,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A backend that answers its requests in turn, then no more, and keeps what it got.
struct Backend {
    address: SocketAddr,
    got: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    async fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&got);
        tokio::spawn(async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                let request = serve(stream, answer).await;
                kept.lock().unwrap().push(request);
            }
            std::future::pending::<()>().await;
        });
        Self { address, got }
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: &str) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(request.clone()).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
    request.extend(body);
    String::from_utf8(request).unwrap()
}

fn evidence(address: SocketAddr, timeout: Duration) -> EvidenceSender {
    EvidenceSender::new(EvidenceSettings {
        url: Url::parse(&format!("http://{address}/liveness?a=1")).unwrap(),
        tls: None,
        secret: WebhookSecret::parse(&Secret::new(SECRET)).ok().unwrap(),
        on: DeliveryCondition::Pass,
        required: false,
        timeout,
    })
}

fn whole(answer: &[u8]) -> Result<RetainedResponse, RetentionError> {
    let memory = BodyMemory::new(1 << 20, Gauge::default());
    let mut collecting = ResponseCollector::new(&memory);
    collecting.take(answer);
    collecting.finish()
}

async fn deliver(
    evidence: &EvidenceSender,
    answer: &Result<RetainedResponse, RetentionError>,
) -> Result<(), DeliveryError> {
    let delivery = EvidenceDelivery {
        id: "0123abcd",
        user: "u\"1",
        issuer: "https://login.example.com/",
        passed: true,
        answer,
    };
    evidence.deliver(&delivery).await
}

const LONG: Duration = Duration::from_secs(30);
const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn the_answer_arrives_byte_for_byte_and_signed() {
    let answer = "{ \"result\":{\"score\":0.9600000000000001,\"pic\":\"\\/9j\\u002f\"} }\n";
    let backend = Backend::start(&[OK]).await;
    deliver(&evidence(backend.address, LONG), &whole(answer.as_bytes()))
        .await
        .unwrap();
    let got = backend.got();
    let (head, body) = got[0].split_once("\r\n\r\n").unwrap();
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")))
            .unwrap()
    };
    assert!(
        head.starts_with("POST /liveness?a=1 HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(field("Host"), backend.address.to_string());
    assert_eq!(field("Content-Type"), "application/json");
    assert_eq!(field("webhook-id"), "0123abcd");
    let (front, rest) = body.split_at(body.find(",\"time\"").unwrap());
    assert_eq!(
        front,
        r#"{"id":"0123abcd","user":"u\"1","issuer":"https://login.example.com/""#
    );
    assert!(
        rest.ends_with(&format!(",\"passed\":true,\"answer\":{answer}}}")),
        "{rest}"
    );
    let read: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(read["time"].as_str().unwrap().len(), 24);
    let timestamp: u64 = field("webhook-timestamp").parse().unwrap();
    let secret = WebhookSecret::parse(&Secret::new(SECRET)).ok().unwrap();
    assert_eq!(
        field("webhook-signature"),
        secret.sign("0123abcd", timestamp, &[Bytes::from(body.to_owned())])
    );
}

#[tokio::test]
async fn what_may_go_better_is_tried_once_more_with_the_same_id() {
    for first in [
        "HTTP/1.1 500 x\r\n\r\n",
        "HTTP/1.1 503 x\r\n\r\n",
        "HTTP/1.1 429 x\r\n\r\n",
        "HTTP/1.1 408 x\r\n\r\n",
        "",
        "nonsense\r\n\r\n",
    ] {
        let answers: &'static [&'static str] = Vec::leak(vec![first, OK]);
        let backend = Backend::start(answers).await;
        deliver(&evidence(backend.address, LONG), &whole(b"{}"))
            .await
            .unwrap();
        let got = backend.got();
        assert_eq!(got.len(), 2, "{first}");
        assert!(
            got.iter()
                .all(|got| got.contains("webhook-id: 0123abcd\r\n"))
        );
    }
}

#[tokio::test]
async fn a_no_is_not_asked_again_and_a_redirect_not_followed() {
    for (answer, status) in [
        ("HTTP/1.1 400 x\r\n\r\n", 400),
        ("HTTP/1.1 401 x\r\n\r\n", 401),
        ("HTTP/1.1 410 x\r\n\r\n", 410),
        ("HTTP/1.1 302 x\r\nLocation: /elsewhere\r\n\r\n", 302),
        ("HTTP/1.1 307 x\r\nLocation: /elsewhere\r\n\r\n", 307),
    ] {
        let answers: &'static [&'static str] = Vec::leak(vec![answer, OK]);
        let backend = Backend::start(answers).await;
        let outcome = deliver(&evidence(backend.address, LONG), &whole(b"{}")).await;
        assert!(
            matches!(outcome, Err(DeliveryError::Status(told)) if told == status),
            "{outcome:?}"
        );
        assert_eq!(backend.got().len(), 1);
    }
}

#[tokio::test]
async fn two_failures_are_the_end() {
    let backend = Backend::start(&["HTTP/1.1 500 x\r\n\r\n", "HTTP/1.1 502 x\r\n\r\n", OK]).await;
    let outcome = deliver(&evidence(backend.address, LONG), &whole(b"{}")).await;
    assert!(
        matches!(outcome, Err(DeliveryError::Status(502))),
        "{outcome:?}"
    );
    assert_eq!(backend.got().len(), 2);
}

#[tokio::test]
async fn down_slow_and_not_held_are_undelivered() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    let slow = evidence(address, Duration::from_millis(50));
    // It listens, and nobody ever answers.
    let outcome = deliver(&slow, &whole(b"{}")).await;
    assert!(
        matches!(outcome, Err(DeliveryError::Timeout)),
        "{outcome:?}"
    );
    for why in [RetentionError::TooLarge, RetentionError::NoRoom] {
        let outcome = deliver(&slow, &Err(why)).await;
        assert!(matches!(outcome, Err(DeliveryError::NotRetained(told)) if told == why));
    }
    drop(closed);
    let outcome = deliver(&evidence(address, LONG), &whole(b"{}")).await;
    assert!(
        matches!(outcome, Err(DeliveryError::Unreachable(_))),
        "{outcome:?}"
    );
}

#[test]
fn passes_are_delivered_and_the_rest_only_when_asked_for() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut evidence = evidence(address, LONG);
    assert!(evidence.should_deliver(true) && !evidence.should_deliver(false));
    evidence.settings.on = DeliveryCondition::Always;
    assert!(evidence.should_deliver(true) && evidence.should_deliver(false));
}
