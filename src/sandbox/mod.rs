//! Everything on one machine, without a Qiniu account: an emulator of Qiniu, the gateway in front
//! of it, a test page and a development token.
//!
//! The gateway is the real one, started from a configuration text as an operator would write it;
//! only Qiniu is emulated. Keys and the token are generated for each run and never written to disk
//! here.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    io,
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    config,
    emulator::{Emulator, EmulatorSettings, Scenario},
    generate::{self, GenerateError, TokenClaims, VerdictKeyKind},
    relay::gateway::Page,
    secret::Secret,
    startup::BoundGateway,
    telemetry::log::LogWriter,
};

const ISSUER: &str = "https://sandbox.localhost/";
const AUDIENCE: &str = "liveness";
const USER: &str = "sandbox-user";
const VERDICT_ISSUER: &str = "https://sandbox.localhost/gateway";
const VERDICT_AUDIENCE: &str = "sandbox-backend";
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The sample video of the page and the guide: H.264 in MP4, three seconds.
const SAMPLE: &[u8] = include_bytes!("sample.mp4");
const PAGE: &str = include_str!("page.html");
/// The text for a terminal. Its commands need curl and the tools of a POSIX shell. It has six
/// steps, the first of which only sets the token: `README.md` describes them, and `.ci/sandbox`
/// runs them.
const GUIDE: &str = include_str!("guide.txt");

/// Settings of a sandbox.
pub struct SandboxSettings {
    /// Address that the gateway listens on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Outcome of valid verifies.
    pub scenario: Scenario,
    /// Delay of each of the emulator's responses.
    pub latency: Duration,
}

/// Why a sandbox can't start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The keys or the token can't be generated.
    #[error("the keys can't be generated")]
    Generate(#[from] GenerateError),
    /// The emulator can't listen on a free port of the loopback address.
    #[error("the emulator can't listen")]
    Emulator(#[source] io::Error),
    /// The configuration text is refused, which is a mistake in this file.
    #[error("the sandbox's own configuration is refused")]
    Configuration(#[source] Box<dyn Error + Send + Sync>),
    /// The gateway can't listen.
    #[error("the gateway can't listen on {address}")]
    Gateway {
        /// The address of [`SandboxSettings::listen`].
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
}

impl SandboxError {
    /// Whether another program listens on the address of the gateway.
    pub fn address_in_use(&self) -> bool {
        matches!(self, Self::Gateway { source, .. }
            if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// A bound sandbox. [`Sandbox::run`] serves it.
pub struct Sandbox {
    emulator: Emulator,
    gateway: BoundGateway,
    token: String,
    address: SocketAddr,
}

impl Sandbox {
    /// Binds all listeners, with keys generated for this run.
    ///
    /// # Errors
    /// See [`SandboxError`].
    pub async fn bind(settings: SandboxSettings, log: LogWriter) -> Result<Self, SandboxError> {
        let access_key = generate::random_hex::<20>()?;
        let secret_key = generate::random_hex::<20>()?;
        let token_secret = generate::random_hex::<20>()?;
        let emulator = Emulator::bind(EmulatorSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            access_key: Secret::new(access_key.as_str()),
            secret_key: Secret::new(secret_key.as_str()),
            scenario: settings.scenario,
            latency: settings.latency,
        })
        .await
        .map_err(SandboxError::Emulator)?;
        let token = token(&token_secret)?;
        let verdict_key = generate::verdict_key_pair(VerdictKeyKind::Ed25519)?.private;
        let variables = BTreeMap::from([
            ("SANDBOX_ACCESS_KEY".to_owned(), access_key),
            ("SANDBOX_SECRET_KEY".to_owned(), secret_key),
            ("SANDBOX_TOKEN_SECRET".to_owned(), token_secret),
            ("SANDBOX_VERDICT_KEY".to_owned(), verdict_key.to_string()),
        ]);
        let text = configuration(settings.listen, emulator.address());
        let loaded = config::load_text(&text, "sandbox.toml", Path::new("."), &variables)
            .map_err(|errors| SandboxError::Configuration(errors.to_string().into()))?;
        let failed = |source| SandboxError::Gateway {
            address: settings.listen,
            source,
        };
        let mut gateway = BoundGateway::start(loaded.settings, log)
            .await
            .map_err(failed)?;
        let address = gateway.public_addresses().first().copied();
        let address = address.ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))?;
        gateway.add_pages(pages(&token));
        Ok(Self {
            emulator,
            gateway,
            token,
            address,
        })
    }

    /// Base URL of the gateway.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Base URL of the gateway's admin listener.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.gateway.admin_address())
    }

    /// A token that the gateway accepts, valid for twelve hours.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The text to print once the sandbox is bound: addresses, and commands to paste.
    pub fn guide(&self) -> String {
        GUIDE
            .replace("{{URL}}", &self.url())
            .replace("{{ADMIN}}", &self.admin_url())
            .replace("{{TOKEN}}", &self.token)
    }

    /// Serves until `stop` resolves and the requests in progress are complete.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let emulator = tokio::spawn(self.emulator.run(async move {
            // Resolves when `end` is dropped.
            let _ = ended.await;
        }));
        self.gateway.serve(stop).await;
        drop(end);
        let _ = emulator.await;
    }
}

fn token(secret: &str) -> Result<String, GenerateError> {
    let claims = TokenClaims {
        issuer: ISSUER,
        audience: AUDIENCE,
        subject: USER,
        scope: None,
        now: SystemTime::now(),
        lifetime: TOKEN_LIFETIME,
    };
    generate::development_token(secret.as_bytes(), &claims)
}

/// The configuration, as an operator would write it. Its rates are high, so that trying things out
/// does not run into them.
fn configuration(listen: SocketAddr, qiniu: SocketAddr) -> String {
    format!(
        r#"
[server]
listen = "{listen}"
max_connections = 500

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
issuer = "{VERDICT_ISSUER}"
audience = "{VERDICT_AUDIENCE}"

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

/// The pages that the gateway serves besides its own.
fn pages(token: &str) -> HashMap<&'static str, Page> {
    let page = PAGE.replace("{{TOKEN}}", token).into_bytes();
    HashMap::from([
        ("/", Page::fixed("text/html; charset=utf-8", page)),
        ("/sample.mp4", Page::fixed("video/mp4", SAMPLE)),
    ])
}
