//! The content of a delivery, its retry, and which responses acknowledge it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::secret::Secret;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A backend that sends these responses in turn, then none, and keeps the requests.
struct Backend {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    async fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                let request = serve(stream, answer).await;
                kept.lock().unwrap().push(request);
            }
            std::future::pending::<()>().await;
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
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
        dialer: Dialer::default(),
        tls: None,
        secret: WebhookSecret::parse(&Secret::new(SECRET)).ok().unwrap(),
        on: DeliveryCondition::Pass,
        required: false,
        timeout,
    })
}

async fn deliver(evidence: &EvidenceSender, response: &str) -> Result<(), DeliveryError> {
    // In two pieces, as a retained response may be.
    let (first, second) = response.split_at(response.len() / 2);
    let pieces = [first, second].map(|piece| Bytes::from(piece.to_owned()));
    let delivery = EvidenceDelivery {
        id: "0123abcd",
        user: "u\"1",
        issuer: "https://login.example.com/",
        passed: true,
        response: &pieces,
        trace: None,
    };
    evidence.deliver(&delivery).await
}

const LONG: Duration = Duration::from_secs(30);
const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn the_response_arrives_byte_for_byte_and_signed() {
    let answer = "{ \"result\":{\"score\":0.9600000000000001,\"pic\":\"\\/9j\\u002f\"} }\n";
    let backend = Backend::start(&[OK]).await;
    deliver(&evidence(backend.address, LONG), answer)
        .await
        .unwrap();
    let got = backend.requests();
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
async fn a_transient_failure_is_retried_once_with_the_same_id() {
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
        deliver(&evidence(backend.address, LONG), "{}")
            .await
            .unwrap();
        let got = backend.requests();
        assert_eq!(got.len(), 2, "{first}");
        assert!(
            got.iter()
                .all(|got| got.contains("webhook-id: 0123abcd\r\n"))
        );
    }
}

#[tokio::test]
async fn a_rejection_is_not_retried_and_a_redirect_is_not_followed() {
    for (answer, status) in [
        ("HTTP/1.1 400 x\r\n\r\n", 400),
        ("HTTP/1.1 401 x\r\n\r\n", 401),
        ("HTTP/1.1 410 x\r\n\r\n", 410),
        ("HTTP/1.1 302 x\r\nLocation: /elsewhere\r\n\r\n", 302),
        ("HTTP/1.1 307 x\r\nLocation: /elsewhere\r\n\r\n", 307),
    ] {
        let answers: &'static [&'static str] = Vec::leak(vec![answer, OK]);
        let backend = Backend::start(answers).await;
        let outcome = deliver(&evidence(backend.address, LONG), "{}").await;
        assert!(
            matches!(outcome, Err(DeliveryError::Status(got)) if got == status),
            "{outcome:?}"
        );
        assert_eq!(backend.requests().len(), 1);
    }
}

#[tokio::test]
async fn there_is_only_one_retry() {
    let backend = Backend::start(&["HTTP/1.1 500 x\r\n\r\n", "HTTP/1.1 502 x\r\n\r\n", OK]).await;
    let outcome = deliver(&evidence(backend.address, LONG), "{}").await;
    assert!(
        matches!(outcome, Err(DeliveryError::Status(502))),
        "{outcome:?}"
    );
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn a_backend_that_is_down_or_slow_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = evidence(address, Duration::from_millis(50));
    // It accepts connections and never responds.
    let outcome = deliver(&slow, "{}").await;
    assert!(
        matches!(outcome, Err(DeliveryError::Timeout)),
        "{outcome:?}"
    );
    drop(listener);
    let outcome = deliver(&evidence(address, LONG), "{}").await;
    assert!(
        matches!(outcome, Err(DeliveryError::Unreachable(_))),
        "{outcome:?}"
    );
}

#[test]
fn only_passes_are_delivered_unless_all_are_configured() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut evidence = evidence(address, LONG);
    assert!(evidence.should_deliver(true) && !evidence.should_deliver(false));
    evidence.settings.on = DeliveryCondition::Always;
    assert!(evidence.should_deliver(true) && evidence.should_deliver(false));
}
