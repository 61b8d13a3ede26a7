//! Everything on one machine, without a Qiniu account: an emulator of Qiniu, the gateway in front
//! of it, a page to try it with, a backend that receives its evidence, and development tokens.
//!
//! The gateway is the real one, started from a configuration text as an operator would write it;
//! only Qiniu is emulated. Keys and tokens are generated for each run and never written to disk
//! here.

mod backend;
mod configuration;
mod deliveries;
mod files;
mod site;
mod tokens;

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use aws_lc_rs::rand;
use data_encoding::BASE64;

use self::{
    backend::SandboxBackend,
    configuration::{SandboxAddresses, configuration},
    site::SandboxSite,
    tokens::SandboxTokens,
};
use crate::{
    config,
    emulator::{Emulator, EmulatorSettings, Scenario},
    generate::{self, GenerateError, VerdictKeyKind},
    secret::Secret,
    startup::BoundGateway,
    telemetry::log::LogWriter,
};

/// The text for a terminal. Its commands need curl and the tools of a POSIX shell. It has six
/// steps, the first of which only sets the token: `README.md` describes them, and `.ci/sandbox`
/// runs them.
const GUIDE: &str = include_str!("guide.txt");

/// Settings of a sandbox.
pub struct SandboxSettings {
    /// Address that the gateway listens on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Address of the gateway's admin listener.
    pub admin_listen: SocketAddr,
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
    /// The backend can't listen on a free port of the loopback address.
    #[error("the sandbox's backend can't listen")]
    Backend(#[source] io::Error),
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
    backend: SandboxBackend,
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
        let keys = SandboxKeys::generate()?;
        let emulator = Emulator::bind(EmulatorSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: Secret::new(keys.access_key.as_str()),
            secret_key: Secret::new(keys.secret_key.as_str()),
            scenario: settings.scenario,
            latency: settings.latency,
        })
        .await
        .map_err(SandboxError::Emulator)?;
        let backend = SandboxBackend::bind(&keys.evidence).await;
        let backend = backend.map_err(SandboxError::Backend)?;
        let text = configuration(&SandboxAddresses {
            listen: settings.listen,
            admin: settings.admin_listen,
            qiniu: emulator.address(),
            backend: backend.address().map_err(SandboxError::Backend)?,
        });
        let loaded = config::load_text(&text, "sandbox.toml", Path::new("."), &keys.variables())
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
        let tokens = SandboxTokens {
            secret: keys.token_secret,
        };
        let token = tokens.for_guide()?;
        let site = SandboxSite {
            tokens,
            emulator: emulator.handle(),
            deliveries: backend.deliveries(),
        };
        gateway.add_site(site.into_site());
        Ok(Self {
            emulator,
            backend,
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
        let (end, ended) = tokio::sync::watch::channel(());
        let until_end = || {
            let mut ended = ended.clone();
            // Resolves when `end` is dropped.
            async move { while ended.changed().await.is_ok() {} }
        };
        let emulator = tokio::spawn(self.emulator.run(until_end()));
        let backend = tokio::spawn(self.backend.run(until_end()));
        self.gateway.serve(stop).await;
        drop(end);
        let _ = emulator.await;
        let _ = backend.await;
    }
}

/// The keys of one run.
struct SandboxKeys {
    access_key: String,
    secret_key: String,
    token_secret: String,
    verdict_key: String,
    evidence: [u8; 32],
}

impl SandboxKeys {
    fn generate() -> Result<Self, GenerateError> {
        let mut evidence = [0; 32];
        rand::fill(&mut evidence).map_err(|_| GenerateError::NoRandomBytes)?;
        let verdict_key = generate::verdict_key_pair(VerdictKeyKind::Ed25519)?.private;
        Ok(Self {
            access_key: generate::random_hex::<20>()?,
            secret_key: generate::random_hex::<20>()?,
            token_secret: generate::random_hex::<20>()?,
            verdict_key: verdict_key.to_string(),
            evidence,
        })
    }

    /// The environment of the configuration.
    fn variables(&self) -> BTreeMap<String, String> {
        let evidence = format!("whsec_{}", BASE64.encode(&self.evidence));
        [
            (configuration::ACCESS_KEY, &self.access_key),
            (configuration::SECRET_KEY, &self.secret_key),
            (configuration::TOKEN_SECRET, &self.token_secret),
            (configuration::VERDICT_KEY, &self.verdict_key),
            (configuration::EVIDENCE_SECRET, &evidence),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
    }
}
