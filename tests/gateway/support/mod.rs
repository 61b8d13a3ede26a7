//! A whole gateway in the test's process, on ports of its own, and what tests need to talk to it.

pub(crate) mod backend;
pub(crate) mod crowd;
pub(crate) mod dead;
pub(crate) mod events;
pub(crate) mod folder;
pub(crate) mod form;
pub(crate) mod frames;
pub(crate) mod gateway_process;
pub(crate) mod identity;
pub(crate) mod own_process;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod quota;
pub(crate) mod raw;
#[cfg(feature = "redis")]
pub(crate) mod redis;
pub(crate) mod refusal;
pub(crate) mod sealed;
pub(crate) mod secure;
mod tokens;
pub(crate) mod until;
pub(crate) mod upstream;
pub(crate) mod verdicts;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use liveness_gateway::{
    config::{self, Settings},
    emulator::{Emulator, EmulatorHandle, EmulatorSettings, Scenario},
    limit::clock::Clock,
    secret::Secret,
    server::{ServingTime, drain::StopReason},
    startup::BoundGateway,
    telemetry::log::LogWriter,
};
use tokio::{net::TcpStream, sync::oneshot};

pub(crate) use tokens::{bearer, token, token_with};
pub(crate) use until::{found, soon, until};
pub(crate) use verdicts::claims;

pub(crate) const SESSIONCODE: &str = "/v2/actionliveness/sessioncode";
pub(crate) const VERIFY: &str = "/v2/actionliveness/verify";
pub(crate) const SECRET: &str = "an HMAC secret of the tests, long enough";
pub(crate) const ACCESS_KEY: &str = "AccessKeyOfTheTests";
pub(crate) const SECRET_KEY: &str = "SecretKeyOfTheTests";
pub(crate) const ISSUER: &str = "https://login.example.com/";
/// RFC 8037 appendix A.1.
pub(crate) const VERDICT_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
pub(crate) const VERDICT: &str = "[verdict]\nsigning_key = { env = \"VERDICT\" }\nissuer = \"https://gateway.example.com\"\naudience = \"backend\"\n";

/// Qiniu's session ids are forwarded as they are, and every retry is a call.
pub(crate) const UNBOUND: &str = "[sessions]\nbind = false\n";

/// A running gateway; it stops when it is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) log: Arc<Mutex<Vec<u8>>>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: tokio::task::JoinHandle<liveness_gateway::server::drain::DrainOutcome>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// The default routes, with limits that no test reaches by accident.
pub(crate) fn routes() -> String {
    format!(
        "[[routes]]\npath = \"{SESSIONCODE}\"\nkind = \"session\"\nrate = \"1000/s\"\nburst = 1000\nconcurrent_per_user = 100\ntimeout = \"2s\"\n\
         [[routes]]\npath = \"{VERIFY}\"\nkind = \"verify\"\nrate = \"1000/s\"\nburst = 1000\nquota = \"\"\nconcurrent_per_user = 100\ntimeout = \"20s\"\n"
    )
}

/// Checked settings from these parts of a configuration.
pub(crate) fn settings(qiniu: &str, server: &str, more: &str) -> Settings {
    settings_with(qiniu, server, more, &[])
}

/// The same with more secrets in the environment.
pub(crate) fn settings_with(
    qiniu: &str,
    server: &str,
    more: &str,
    secrets: &[(&str, &str)],
) -> Settings {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\n[qiniu]\n{qiniu}\n\
         access_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\nconnect_timeout = \"2s\"\n{more}"
    );
    config::load_text(&text, "test.toml", Path::new("."), &variables(secrets))
        .unwrap_or_else(|report| panic!("{report}"))
        .settings
}

/// The environment of a gateway: the secrets that all tests use, and these.
pub(crate) fn variables(secrets: &[(&str, &str)]) -> BTreeMap<String, String> {
    let variables = [
        ("AK", ACCESS_KEY),
        ("SK", SECRET_KEY),
        ("JWT", SECRET),
        ("VERDICT", VERDICT_KEY),
        ("WEBHOOK", backend::SECRET),
        ("SEAL", sealed::KEY),
        ("OTHER_SEAL", sealed::OTHER_KEY),
    ];
    let variables = variables.iter().chain(secrets);
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    variables.collect()
}

impl Gateway {
    /// A gateway in front of `upstream`. `server` are keys of `[server]`, `more` are further
    /// sections.
    pub(crate) async fn start(upstream: SocketAddr, server: &str, more: &str) -> Self {
        Self::start_at(&format!("endpoint = \"http://{upstream}\""), server, more).await
    }

    /// The same with these keys of `[qiniu]` besides the credentials.
    pub(crate) async fn start_at(qiniu: &str, server: &str, more: &str) -> Self {
        Self::run(Self::settings(qiniu, server, more)).await
    }

    /// The settings of [`Self::start_at`].
    pub(crate) fn settings(qiniu: &str, server: &str, more: &str) -> Settings {
        let shared = identity::section(ISSUER, "secret = { env = \"JWT\" }");
        settings(qiniu, server, &(shared + more))
    }

    /// Starts a gateway with settings that a test may have changed.
    pub(crate) async fn run(settings: Settings) -> Self {
        Self::run_by(settings, &Clock::default()).await
    }

    /// The same, with quotas that follow this clock.
    pub(crate) async fn run_by(settings: Settings, clock: &Clock) -> Self {
        let (lines, log) = LogWriter::capture();
        let running = BoundGateway::start_with_clock(settings, lines, clock);
        Self::serve(running.await.unwrap(), log)
    }

    /// A gateway that is bound, and whose access records are in `log`.
    pub(crate) fn serve(running: BoundGateway, log: Arc<Mutex<Vec<u8>>>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (address, admin) = (running.public_addresses()[0], running.admin_address());
        let told = async move {
            drop(stopped.await);
            StopReason::Signal
        };
        let ended = tokio::spawn(running.serve(ServingTime::until(told)));
        Self {
            address,
            admin,
            log,
            stop: Some(stop),
            ended,
        }
    }

    /// A gateway with the default routes and wide limits.
    pub(crate) async fn plain(upstream: SocketAddr) -> Self {
        Self::start(upstream, "", &routes()).await
    }

    /// The same, with unsealed session ids: for tests about something else, which invent ids.
    pub(crate) async fn unbound(upstream: SocketAddr) -> Self {
        Self::start(upstream, "", &(UNBOUND.to_owned() + &routes())).await
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.log.lock().unwrap().clone()).unwrap()
    }

    /// Waits for the access record that contains `part`.
    pub(crate) async fn record(&self, part: &str) -> serde_json::Value {
        let record = async || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(part))?;
            Some(serde_json::from_str(line).unwrap())
        };
        let record = found(record).await;
        record.unwrap_or_else(|| panic!("no record holds {part}: {}", self.log()))
    }

    pub(crate) async fn metrics(&self) -> String {
        let request = Request::get("/metrics").header("host", "admin");
        String::from_utf8(
            send(self.admin, false, request, Bytes::new())
                .await
                .body
                .to_vec(),
        )
        .unwrap()
    }

    /// Waits until the metrics have this line, without its prefix `liveness_gateway_`.
    pub(crate) async fn until_metrics_have(&self, line: &str) {
        let line = format!("\nliveness_gateway_{line}\n");
        let have = found(async || self.metrics().await.contains(&line).then_some(()));
        let have = have.await.is_some();
        assert!(have, "never {line}: {}", self.metrics().await);
    }

    /// Sends a `POST` of JSON with a valid token.
    pub(crate) async fn post(&self, http2: bool, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = self
            .request(http2, "POST", path)
            .header("authorization", bearer("user-1"))
            .header("content-type", "application/json");
        self.send(http2, request, body).await
    }

    pub(crate) fn request(
        &self,
        http2: bool,
        method: &str,
        path: &str,
    ) -> hyper::http::request::Builder {
        let request = Request::builder().method(method);
        if http2 {
            request.uri(format!("http://{}{path}", self.address))
        } else {
            request.uri(path).header("host", self.address.to_string())
        }
    }

    pub(crate) async fn send(
        &self,
        http2: bool,
        request: hyper::http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Answer {
        send(self.address, http2, request, body.into()).await
    }
}

pub(crate) async fn send(
    address: SocketAddr,
    http2: bool,
    request: hyper::http::request::Builder,
    body: Bytes,
) -> Answer {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let request = request.body(Full::new(body)).unwrap();
    let response = if http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                .await
                .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) async fn emulator(scenario: Scenario) -> (SocketAddr, Arc<EmulatorHandle>) {
    let emulator = Emulator::bind(EmulatorSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        access_key: Secret::new(ACCESS_KEY),
        secret_key: Secret::new(SECRET_KEY),
        second_keys: None,
        scenario,
        latency: Duration::ZERO,
    })
    .await
    .unwrap();
    let (address, handle) = (emulator.address(), emulator.handle());
    tokio::spawn(emulator.run(std::future::pending()));
    (address, handle)
}

/// A real video, padded by a `free` box (ISO/IEC 14496-12 section 8.1.2) to exactly `size` bytes.
pub(crate) fn video(size: usize) -> Vec<u8> {
    let mut video =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/h264-moov-first.mp4"))
            .unwrap();
    if size > video.len() {
        let padding = size - video.len();
        assert!(padding >= 8);
        video.extend(u32::try_from(padding).unwrap().to_be_bytes());
        video.extend(b"free");
        // `resize` writes byte by byte without optimization.
        video.extend(vec![0; size - video.len()]);
    }
    video
}

pub(crate) fn verify_body(session: &str, video: &[u8]) -> String {
    format!(
        "{{\"session_id\":\"{session}\",\"video_base64\":\"{}\"}}",
        data_encoding::BASE64.encode(video)
    )
}

pub(crate) async fn session(gateway: &Gateway) -> String {
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    answer.json()["result"]["session_id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}
