//! An emulator on a free port, and a client that signs correctly or sends what it is told.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use data_encoding::{BASE64, BASE64URL};
use hmac::{Hmac, KeyInit, Mac};
use liveness_gateway::{
    emulator::{Emulator, EmulatorHandle, EmulatorSettings, Scenario},
    secret::Secret,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

pub(crate) const ACCESS_KEY: &str = "emulator-test-access-key";
pub(crate) const SECRET_KEY: &str = "emulator-test-secret-key";
pub(crate) const SESSION: &str = "/v2/actionliveness/sessioncode";
pub(crate) const VERIFY: &str = "/v2/actionliveness/verify";
pub(crate) const VIDEO: &[u8] = include_bytes!("../../data/h264-moov-first.mp4");

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Arc<EmulatorHandle>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<()>,
}

pub(crate) async fn start_with(scenario: Scenario, latency: Duration) -> Running {
    let emulator = Emulator::bind(EmulatorSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        access_key: Secret::new(ACCESS_KEY),
        secret_key: Secret::new(SECRET_KEY),
        second_keys: None,
        scenario,
        latency,
    })
    .await
    .unwrap();
    let (stop, stopped) = oneshot::channel();
    let (address, handle) = (emulator.address(), emulator.handle());
    let task = tokio::spawn(emulator.run(async move { drop(stopped.await) }));
    Running {
        address,
        handle,
        stop,
        task,
    }
}

pub(crate) async fn start() -> Running {
    start_with(Scenario::Pass, Duration::ZERO).await
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> u64 {
        assert_eq!(self.status, 200);
        self.json()["error_code"].as_u64().unwrap()
    }
}

/// The headers of a correctly signed request, which a test may then change.
pub(crate) fn signed(address: SocketAddr, path: &str, extra: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET_KEY.as_bytes()).unwrap();
    let text = format!("POST {path}\nHost: {address}\nContent-Type: application/json\n{extra}\n");
    mac.update(text.as_bytes());
    mac.update(body);
    let sign = BASE64URL.encode(&mac.finalize().into_bytes());
    format!(
        "Host: {address}\nContent-Type: application/json\n{extra}Authorization: Qiniu {ACCESS_KEY}:{sign}\nContent-Length: {}\n",
        body.len()
    )
}

impl Running {
    pub(crate) async fn send(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{line} HTTP/1.1\r\nConnection: close\r\n{}\r\n",
            headers.replace('\n', "\r\n")
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) async fn call(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string().into_bytes();
        self.send(
            &format!("POST {path}"),
            &signed(self.address, path, "", &body),
            &body,
        )
        .await
    }

    pub(crate) async fn session(&self) -> String {
        let answer = self.call(SESSION, &json!({})).await;
        answer.json()["result"]["session_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) async fn verify(&self, video: &[u8], face_field: &str) -> Answer {
        let session_id = self.session().await;
        let mut body = json!({"session_id": session_id, "video_base64": BASE64.encode(video)});
        if !face_field.is_empty() {
            body["face_field"] = json!(face_field);
        }
        self.call(VERIFY, &body).await
    }
}
