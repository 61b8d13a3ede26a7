//! An identity provider that behaves as the test says.

mod signer;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use liveness_gateway::{
    auth::{KeySource, remote::FetchTiming},
    config::Settings,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

pub(crate) use self::signer::Signer;
use super::{
    Answer, Gateway, SESSIONCODE,
    events::{self, logged_with},
    found, routes, settings,
};

pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const KEYS: &str = "/keys";

/// How a document is served.
#[derive(Clone)]
pub(crate) enum Does {
    /// With the document.
    Well,
    /// With the document and these header fields.
    WellWith(String),
    /// With these bytes, whatever they are.
    Answer(Vec<u8>),
    /// With the document, when it gets a permit.
    WhenLet(Arc<Semaphore>),
    /// Never.
    Hang,
    /// By closing the connection.
    Close,
}

struct State {
    does: BTreeMap<&'static str, Does>,
    issuer: String,
    keys: Vec<Value>,
    requests: Vec<String>,
}

/// A running provider.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Provider {
    /// Publishes these keys over plain HTTP.
    pub(crate) async fn start(keys: Vec<Value>) -> Self {
        Self::start_with(keys, None).await
    }

    /// The same over TLS, as `localhost`.
    pub(crate) async fn start_with(keys: Vec<Value>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = match &tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let state = State {
            does: BTreeMap::new(),
            issuer,
            keys,
            requests: Vec::new(),
        };
        let provider = Self {
            address,
            state: Arc::new(Mutex::new(state)),
        };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (provider, tls) = (serving.clone(), tls.clone());
                // Some of these end because the gateway closes the connection.
                tokio::spawn(async move {
                    let _ = match tls {
                        None => provider.answer(stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => provider.answer(stream).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        provider
    }

    async fn answer(
        &self,
        mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    ) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let (does, document) = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(target.clone());
            let document = match target.as_str() {
                DISCOVERY => {
                    json!({"issuer": state.issuer, "jwks_uri": format!("{}{KEYS}", self.issuer_of(&state))})
                }
                _ => json!({"keys": state.keys}),
            };
            (
                state.does.get(target.as_str()).cloned(),
                document.to_string(),
            )
        };
        let good = |fields: &str| {
            let length = document.len();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{fields}\r\n{document}")
        };
        match does.unwrap_or(Does::Well) {
            Does::Well => stream.write_all(good("").as_bytes()).await?,
            Does::WellWith(fields) => stream.write_all(good(&fields).as_bytes()).await?,
            Does::WhenLet(gate) => {
                gate.acquire().await.unwrap().forget();
                stream.write_all(good("").as_bytes()).await?;
            }
            Does::Answer(bytes) => stream.write_all(&bytes).await?,
            Does::Hang => std::future::pending().await,
            Does::Close => return Ok(()),
        }
        stream.shutdown().await
    }

    fn issuer_of(&self, state: &State) -> String {
        let scheme = state.issuer.split(':').next().unwrap();
        let host = if scheme == "https" {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{scheme}://{host}:{}", self.address.port())
    }

    pub(crate) fn issuer(&self) -> String {
        self.state.lock().unwrap().issuer.clone()
    }

    /// Sets the issuer that the discovery document names.
    pub(crate) fn set_issuer(&self, issuer: &str) {
        self.state.lock().unwrap().issuer = issuer.into();
    }

    pub(crate) fn publish(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().keys = keys;
    }

    pub(crate) fn does(&self, path: &'static str, does: Does) {
        self.state.lock().unwrap().does.insert(path, does);
    }

    /// How often this path was requested.
    pub(crate) fn requests(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|it| *it == path).count()
    }

    /// `[[identity]]` for this provider, with its keys by discovery unless `more` says otherwise.
    pub(crate) fn identity(&self, more: &str) -> String {
        section(&self.issuer(), more)
    }
}

/// `[[identity]]` for this issuer.
pub(crate) fn section(issuer: &str, more: &str) -> String {
    format!("[[identity]]\nissuer = \"{issuer}\"\naudience = \"liveness\"\n{more}\n")
}

/// Short timings, so that tests can wait for them. The half minute between two fetches stays.
pub(crate) fn hasty() -> FetchTiming {
    FetchTiming {
        fetch_timeout: Duration::from_secs(2),
        initial_retry_delay: Duration::from_millis(5),
        max_retry_delay: Duration::from_millis(20),
        ..FetchTiming::default()
    }
}

/// A gateway with these `[[identity]]` sections and timings.
pub(crate) async fn gateway(
    upstream: SocketAddr,
    identities: &str,
    timing: FetchTiming,
) -> Gateway {
    events::keep();
    let qiniu = format!("endpoint = \"http://{upstream}\"");
    let settings = settings(&qiniu, "", &format!("{identities}{}", routes()));
    Gateway::run(timed(settings, timing)).await
}

/// The same settings, with these timings for all remote keys.
pub(crate) fn timed(mut settings: Settings, timing: FetchTiming) -> Settings {
    for identity in &mut settings.identities {
        if let KeySource::Remote(remote) = &mut identity.keys {
            remote.timing = timing;
        }
    }
    settings
}

impl Gateway {
    /// Requests a session with this token.
    pub(crate) async fn ask(&self, token: &str) -> Answer {
        let request = self
            .request(false, "POST", SESSIONCODE)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        self.send(false, request, "{}").await
    }

    pub(crate) async fn readiness(&self) -> Answer {
        let request = hyper::Request::get("/readyz").header("host", "admin");
        super::send(self.admin, false, request, bytes::Bytes::new()).await
    }

    /// Waits until `/readyz` has this status.
    pub(crate) async fn until_ready_is(&self, status: u16) {
        let is_so = found(async || (self.readiness().await.status == status).then_some(()));
        assert!(is_so.await.is_some(), "never {status}: {}", self.log());
    }

    /// Waits until a fetch of key sets has had this outcome.
    pub(crate) async fn until_fetch_was(&self, outcome: &str) {
        let wanted = format!("outcome=\"{outcome}\"}}");
        let fetch = found(async || {
            let metrics = self.metrics().await;
            let mut fetches = metrics
                .lines()
                .filter(|line| line.starts_with("liveness_gateway_key_set_fetches_total"));
            let fetched = fetches.any(|line| line.contains(&wanted) && !line.ends_with(" 0"));
            fetched.then_some(())
        });
        assert!(fetch.await.is_some(), "never {outcome}: {}", self.log());
    }
}

/// The lines logged about this provider.
pub(crate) fn logged(provider: &Provider) -> String {
    logged_with(&format!(":{}", provider.address.port())).join("\n")
}

/// Status and code of a response; a success has no code.
pub(crate) fn said(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}
