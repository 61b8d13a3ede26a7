//! Everything on one machine, with no account: an emulator of Qiniu, the gateway in front of it, a page to try it, and a
//! development token. What runs here is the real gateway with a real configuration; only Qiniu is played.

mod guide;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use data_encoding::HEXLOWER;

use crate::{
    commands::{
        keygen,
        token::{Claims, mint},
    },
    config,
    emulator::{Emulator, EmulatorSettings, Scenario},
    relay::respond::Page,
    secret::Secret,
    startup::Running,
    telemetry::log::LogWriter,
};

const ISSUER: &str = "https://sandbox.localhost/";
const AUDIENCE: &str = "liveness";
const USER: &str = "sandbox-user";
/// Who signs verdicts, and who takes them.
const GATEWAY: &str = "https://sandbox.localhost/gateway";
const BACKEND: &str = "sandbox-backend";
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The video behind the page's and the curl lines' "sample": H.264 in MP4, three seconds.
const SAMPLE: &[u8] = include_bytes!("sample.mp4");
const PAGE: &str = include_str!("page.html");

/// How a sandbox is set up.
pub struct SandboxSettings {
    /// Where the gateway listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What the emulator answers.
    pub scenario: Scenario,
    /// How long it takes.
    pub latency: Duration,
}

/// A sandbox that listens and does not serve yet.
pub struct Sandbox {
    emulator: Emulator,
    gateway: Running,
    token: String,
    address: SocketAddr,
}

impl Sandbox {
    /// Binds everything, with keys made for this run alone.
    ///
    /// # Errors
    /// An address can't be listened on, or there is no randomness.
    pub async fn bind(settings: SandboxSettings, lines: LogWriter) -> io::Result<Self> {
        let (access_key, secret_key, token_secret) = (random_key()?, random_key()?, random_key()?);
        let emulator = Emulator::bind(EmulatorSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            access_key: Secret::new(access_key.as_str()),
            secret_key: Secret::new(secret_key.as_str()),
            scenario: settings.scenario,
            latency: settings.latency,
        })
        .await?;
        let claims = Claims {
            issuer: ISSUER,
            audience: AUDIENCE,
            subject: USER,
            scope: None,
            now: SystemTime::now(),
            lifetime: TOKEN_LIFETIME,
        };
        let token = mint(token_secret.as_bytes(), &claims).map_err(io::Error::other)?;
        let verdict_key = keygen::verdict_key().map_err(io::Error::other)?;
        let variables = BTreeMap::from([
            ("SANDBOX_ACCESS_KEY".to_owned(), access_key),
            ("SANDBOX_SECRET_KEY".to_owned(), secret_key),
            ("SANDBOX_TOKEN_SECRET".to_owned(), token_secret),
            ("SANDBOX_VERDICT_KEY".to_owned(), verdict_key),
        ]);
        let text = configuration(settings.listen, emulator.address());
        let loaded =
            config::load_text(&text, "sandbox.toml", std::path::Path::new("."), &variables)
                .map_err(|report| io::Error::other(report.to_string()))?;
        let mut gateway = Running::start(loaded.settings, lines).await?;
        let address = gateway
            .public_addresses()
            .first()
            .copied()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        gateway.show_pages(pages(&token));
        Ok(Self {
            emulator,
            gateway,
            token,
            address,
        })
    }

    /// Where the gateway is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its admin listener is.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.gateway.admin_address())
    }

    /// A token that the gateway accepts, for twelve hours.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What was asked of the emulator.
    pub fn handle(&self) -> std::sync::Arc<crate::emulator::EmulatorHandle> {
        self.emulator.handle()
    }

    /// What to tell the person who started it.
    pub fn guide(&self) -> String {
        guide::text(&self.url(), &self.admin_url(), &self.token)
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let emulator = tokio::spawn(self.emulator.run(async move {
            // The sender going away means the same as its word.
            let _ = ended.await;
        }));
        self.gateway.serve(stop).await;
        drop(end);
        let _ = emulator.await;
    }
}

/// The configuration, as an operator would write it. The limits are wide, so that trying things out is not cut short.
fn configuration(listen: SocketAddr, qiniu: SocketAddr) -> String {
    format!(
        r#"
[server]
listen = "{listen}"

[admin]
listen = "127.0.0.1:0"

[qiniu]
endpoint = "http://{qiniu}"
access_key = {{ env = "SANDBOX_ACCESS_KEY" }}
secret_key = {{ env = "SANDBOX_SECRET_KEY" }}

[[identity]]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
secret = {{ env = "SANDBOX_TOKEN_SECRET" }}

[verdict]
signing_key = {{ env = "SANDBOX_VERDICT_KEY" }}
issuer = "{GATEWAY}"
audience = "{BACKEND}"

[[routes]]
path = "/v2/actionliveness/sessioncode"
kind = "session"
rate = "600/min"
burst = 60

[[routes]]
path = "/v2/actionliveness/verify"
kind = "verify"
rate = "600/min"
burst = 60

[log]
format = "text"
"#
    )
}

fn pages(token: &str) -> HashMap<&'static str, Page> {
    let page = PAGE.replace("{{TOKEN}}", token).into_bytes();
    HashMap::from([
        ("/", Page::fixed("text/html; charset=utf-8", page)),
        ("/sample.mp4", Page::fixed("video/mp4", SAMPLE)),
    ])
}

/// Forty characters that nobody can guess.
fn random_key() -> io::Result<String> {
    let mut bytes = [0; 20];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(HEXLOWER.encode(&bytes))
}
