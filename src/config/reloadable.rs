//! The values that are reloaded when their files change, each with the loader that made it.

use std::{sync::Arc, time::Duration};

use super::certificates::CertifiedConfig;
use crate::{
    auth::key_set::VerificationKeys,
    evidence::signature::WebhookSecret,
    outbound::{
        connection::ClientTls,
        proxy::{Proxy, ProxyAddress},
    },
    qiniu::Credentials,
    rotation::{POLL_INTERVAL, Reloadable},
    session::SessionSettings,
    store::StoreAddress,
    telemetry::metrics::CertificateExpiries,
    verdict::VerdictKeys,
};

/// The reloadable values. `None`: there is no such value, or none of its inputs is a file.
pub struct ReloadableSettings {
    /// The pause between two polls of the files. Constant in a gateway, shorter in tests.
    pub poll_interval: Duration,
    /// `server.tls`
    pub tls: Option<Reloadable<CertifiedConfig<Arc<rustls::ServerConfig>>>>,
    /// `outbound.proxy`
    pub proxy: Option<ReloadableProxy>,
    /// `qiniu.access_key` and `secret_key`
    pub credentials: Option<Reloadable<Credentials>>,
    /// The keys of each `[[identity]]`, with its issuer.
    pub identities: Vec<(String, Option<Reloadable<VerificationKeys>>)>,
    /// `sessions.seal_key` and `previous_seal_key`
    pub seal_keys: Option<Reloadable<SessionSettings>>,
    /// `verdict.signing_key` and `previous_keys`
    pub verdict: Option<Reloadable<VerdictKeys>>,
    /// `evidence.secret`
    pub evidence: Option<Reloadable<WebhookSecret>>,
    /// `store.redis`
    pub store: Option<Reloadable<StoreAddress>>,
    /// Each `ca_file`.
    pub authorities: Vec<ReloadableAuthorities>,
    /// When the certificates in use expire.
    pub expiries: CertificateExpiries,
}

/// The certificate authorities of a `ca_file`, and the connections that trust them.
pub struct ReloadableAuthorities {
    /// The TLS settings to replace.
    pub tls: ClientTls,
    /// Loads the new settings.
    pub reloadable: Reloadable<CertifiedConfig<Arc<rustls::ClientConfig>>>,
}

/// The address of the proxy, and the connections that go through it.
pub struct ReloadableProxy {
    /// The proxy whose address to replace.
    pub proxy: Proxy,
    /// Loads the new address.
    pub reloadable: Reloadable<ProxyAddress>,
}

impl Default for ReloadableSettings {
    fn default() -> Self {
        Self {
            poll_interval: POLL_INTERVAL,
            tls: None,
            proxy: None,
            credentials: None,
            identities: Vec::new(),
            seal_keys: None,
            verdict: None,
            evidence: None,
            store: None,
            authorities: Vec::new(),
            expiries: CertificateExpiries::new(),
        }
    }
}
