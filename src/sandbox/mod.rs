//! Everything on one machine, without a Qiniu account: an emulator of Qiniu, the gateway in front
//! of it, a page to try it with, a backend that receives its evidence, and development tokens.
//!
//! The gateway is the real one, started from a configuration text as an operator would write it;
//! only Qiniu is emulated. Keys and tokens are generated for each run and never written to disk
//! here.

mod addresses;
mod backend;
mod configuration;
mod deliveries;
mod files;
mod guide;
mod qr;
mod site;
mod tokens;

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::{Duration, SystemTime},
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
    generate::{self, GenerateError, VerdictKeyKind, certificate::server_certificate},
    secret::Secret,
    server::{
        BindError, ServingTime,
        drain::StopReason,
        tls::{PemFile, ServerTls, ServerTlsError, server_config},
    },
    startup::BoundGateway,
    telemetry::log::LogWriter,
};

/// Settings of a sandbox.
pub struct SandboxSettings {
    /// Address that the gateway listens on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Address of the gateway's admin listener.
    pub admin_listen: SocketAddr,
    /// Whether the gateway serves TLS, with a certificate made for this run.
    pub tls: bool,
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
    /// The certificate can't be used, which is a mistake in how it is made.
    #[error("the certificate can't be used")]
    Certificate(#[from] ServerTlsError),
    /// The gateway can't listen.
    #[error("the gateway can't listen on {address}")]
    Gateway {
        /// The address of [`SandboxSettings::listen`].
        address: SocketAddr,
        /// Why not.
        source: BindError,
    },
}

impl SandboxError {
    /// Whether another program listens on the address of the gateway.
    pub fn address_in_use(&self) -> bool {
        matches!(self, Self::Gateway { source: BindError::Bind(error), .. }
            if error.kind() == io::ErrorKind::AddrInUse)
    }
}

/// A bound sandbox. [`Sandbox::run`] serves it.
pub struct Sandbox {
    emulator: Emulator,
    backend: SandboxBackend,
    gateway: BoundGateway,
    token: String,
    address: SocketAddr,
    /// Addresses at which other machines reach the gateway, the most likely one first.
    elsewhere: Vec<IpAddr>,
    /// SHA-256 of the gateway's certificate, with TLS.
    fingerprint: Option<[u8; 32]>,
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
            second_keys: None,
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
        let mut gateway_settings = loaded.settings;
        let elsewhere = addresses::from_elsewhere(settings.listen.ip());
        let mut fingerprint = None;
        if settings.tls {
            let (tls, print) = tls(&elsewhere)?;
            gateway_settings.server.tls = Some(tls);
            fingerprint = Some(print);
        }
        let failed = |source| SandboxError::Gateway {
            address: settings.listen,
            source,
        };
        let mut gateway = BoundGateway::start(gateway_settings, log)
            .await
            .map_err(failed)?;
        let address = gateway.public_addresses().first().copied();
        let address = address
            .ok_or_else(|| failed(BindError::Bind(io::ErrorKind::AddrNotAvailable.into())))?;
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
            elsewhere,
            fingerprint,
        })
    }

    /// Base URL of the gateway: one that other machines can open too, if there is one.
    pub fn url(&self) -> String {
        let scheme = if self.fingerprint.is_some() {
            "https"
        } else {
            "http"
        };
        let here = addresses::from_here(self.address.ip());
        let host = self.elsewhere.first().copied().unwrap_or(here);
        format!("{scheme}://{}", SocketAddr::new(host, self.address.port()))
    }

    /// Base URL of the gateway's admin listener.
    pub fn admin_url(&self) -> String {
        let bound = self.gateway.admin_address();
        let host = addresses::from_here(bound.ip());
        format!("http://{}", SocketAddr::new(host, bound.port()))
    }

    /// A token that the gateway accepts, valid for twelve hours.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The text to print once the sandbox is bound: addresses, commands to paste, and how to open
    /// the page on a phone. With `colours`, for a terminal that knows them.
    pub fn guide(&self, colours: bool) -> String {
        guide::guide(self, colours)
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
        let stop = async {
            stop.await;
            StopReason::Signal
        };
        self.gateway.serve(ServingTime::until(stop)).await;
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

/// TLS with a new certificate for this machine and these addresses of it, and the certificate's
/// SHA-256.
fn tls(elsewhere: &[IpAddr]) -> Result<(ServerTls, [u8; 32]), SandboxError> {
    let loopback = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ];
    let made = server_certificate(&[&loopback, elsewhere].concat(), SystemTime::now())?;
    let file = |name, text| PemFile {
        path: Path::new(name),
        text,
    };
    let certificate = file("certificate", made.certificate.as_bytes());
    let private_key = file("private key", made.private_key.as_bytes());
    let config = server_config(&certificate, &private_key, None)?;
    Ok((ServerTls::new(config), made.fingerprint))
}
