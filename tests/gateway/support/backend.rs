//! The app's own backend, which receives evidence, in several ways.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use liveness_gateway::{evidence::signature::WebhookSecret, secret::Secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the backend does with a delivery.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// Reads it and sends this response.
    Answers(&'static str),
    /// Sends this response before it has read the body, and reads no more.
    AnswersEarly(&'static str),
    /// Reads it and never responds.
    Hangs,
    /// Reads it, and responds when the test says so.
    Waits,
}

pub(crate) const OK: Does = Does::Answers("HTTP/1.1 204 No Content\r\n\r\n");

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    /// Notified of each delivery.
    pub(crate) arrived: Arc<Notify>,
    /// Lets a backend that waits respond.
    pub(crate) answer: Arc<Notify>,
}

#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as the Standard Webhooks convention says.
    pub(crate) fn is_signed(&self) -> bool {
        let secret = WebhookSecret::parse(&Secret::new(SECRET)).ok().unwrap();
        let timestamp = self.field("webhook-timestamp").parse().unwrap();
        let body = [Bytes::from(self.body.clone())];
        secret.sign(self.field("webhook-id"), timestamp, &body) == self.field("webhook-signature")
    }
}

impl Backend {
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    /// `[verdict]` and `[evidence]` for this backend; `more` belongs to the latter.
    pub(crate) fn sections(&self, more: &str) -> String {
        format!(
            "{}[evidence]\nurl = \"http://{}/liveness\"\nsecret = {{ env = \"WEBHOOK\" }}\n{more}\n",
            super::VERDICT,
            self.address
        )
    }
}

pub(crate) async fn start(does: Does) -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = Backend {
        address: listener.local_addr().unwrap(),
        deliveries: Arc::default(),
        arrived: Arc::default(),
        answer: Arc::default(),
    };
    let deliveries = Arc::clone(&backend.deliveries);
    let (arrived, answer) = (Arc::clone(&backend.arrived), Arc::clone(&backend.answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let deliveries = Arc::clone(&deliveries);
            let (arrived, answer) = (Arc::clone(&arrived), Arc::clone(&answer));
            tokio::spawn(async move {
                // Some of these end because the gateway closes the connection.
                let _ = serve(stream, does, &deliveries, &arrived, &answer).await;
            });
        }
    });
    backend
}

async fn serve(
    mut stream: TcpStream,
    does: Does,
    deliveries: &Mutex<Vec<Delivery>>,
    arrived: &Notify,
    answer: &Notify,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .unwrap();
    if let Does::AnswersEarly(text) = does {
        stream.write_all(text.as_bytes()).await?;
        return std::future::pending().await;
    }
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await?;
    deliveries.lock().unwrap().push(Delivery { head, body });
    arrived.notify_one();
    match does {
        Does::Answers(text) => stream.write_all(text.as_bytes()).await?,
        Does::Waits => {
            answer.notified().await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
        Does::Hangs | Does::AnswersEarly(_) => std::future::pending().await,
    }
    Ok(())
}
