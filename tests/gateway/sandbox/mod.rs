//! The sandbox as its page and its user see it.

mod evidence;
mod network;
mod outcomes;
mod site;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use hyper::Request;
use liveness_gateway::{
    emulator::Scenario,
    sandbox::{Sandbox, SandboxSettings},
    telemetry::log::LogWriter,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::{Answer, SESSIONCODE, VERIFY, send, verify_body, video};

/// A sandbox in this process; it stops when it is dropped.
struct RunningSandbox {
    address: SocketAddr,
    token: String,
    log: Arc<Mutex<Vec<u8>>>,
    _stop: oneshot::Sender<()>,
}

impl RunningSandbox {
    async fn start() -> Self {
        let (lines, log) = LogWriter::capture();
        let sandbox = Sandbox::bind(settings(), lines).await.unwrap();
        let address = sandbox.url().strip_prefix("http://").unwrap().parse();
        let token = sandbox.token().to_owned();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(sandbox.run(async move { drop(stopped.await) }));
        Self {
            address: address.unwrap(),
            token,
            log,
            _stop: stop,
        }
    }

    /// A request without a token, with these header fields and a body.
    async fn ask(&self, line: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        self.ask_by(false, line, fields, body).await
    }

    async fn ask_by(&self, http2: bool, line: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let host = fields.iter().find(|(name, _)| *name == "host");
        let host = host.map_or(self.address.to_string(), |(_, host)| (*host).to_owned());
        let mut request = match http2 {
            true => Request::builder().uri(format!("http://{host}{path}")),
            false => Request::builder().uri(path).header("host", host),
        };
        for (name, value) in fields.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        send(self.address, http2, request.method(method), body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "").await
    }

    async fn state(&self) -> Value {
        self.get("/sandbox/state").await.json()
    }

    async fn set_outcome(&self, outcome: &str) -> Answer {
        let json = [("content-type", "application/json")];
        let body = json!({ "outcome": outcome }).to_string();
        self.ask("POST /sandbox/outcome", &json, &body).await
    }

    async fn call(&self, path: &str, token: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        let fields = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        self.ask(&format!("POST {path}"), &fields, body).await
    }

    async fn session(&self) -> String {
        let answer = self.call(SESSIONCODE, &self.token, "{}").await.json();
        answer["result"]["session_id"].as_str().unwrap().to_owned()
    }

    /// Sends a good video.
    async fn verify(&self, session: &str) -> Answer {
        let body = verify_body(session, &video(0));
        self.call(VERIFY, &self.token, &body).await
    }

    fn log(&self) -> String {
        String::from_utf8(self.log.lock().unwrap().clone()).unwrap()
    }
}

/// The claims of a token or a verdict, unchecked.
fn decoded(jws: &str) -> Value {
    let claims = jws.split('.').nth(1).unwrap();
    let json = BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn settings() -> SandboxSettings {
    SandboxSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: false,
        scenario: Scenario::Pass,
        latency: Duration::ZERO,
    }
}
