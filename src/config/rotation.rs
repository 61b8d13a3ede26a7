//! What is made anew when its files change, each with the recipe that made it at start.

use std::{sync::Arc, time::Duration};

use crate::{
    auth::key_set::VerificationKeys,
    evidence::signature::WebhookSecret,
    outbound::tls::ClientTls,
    qiniu::Credentials,
    rotation::{PERIOD, Watched},
    session::SessionSettings,
    store::Address,
    verdict::VerdictKeys,
};

/// The values whose files are watched. `None`: there is no such value, or nothing of it is in a file.
pub struct Rotation {
    /// Between two looks; fixed in a gateway, and short in tests.
    pub period: Duration,
    /// `server.tls`
    pub tls: Option<Watched<Arc<rustls::ServerConfig>>>,
    /// `qiniu.access_key` and `secret_key`
    pub credentials: Option<Watched<Credentials>>,
    /// The keys of each `[[identity]]`, with its issuer.
    pub identities: Vec<(String, Option<Watched<VerificationKeys>>)>,
    /// `sessions.seal_key` and `previous_seal_key`
    pub seal_keys: Option<Watched<SessionSettings>>,
    /// `verdict.signing_key` and `previous_keys`
    pub verdict: Option<Watched<VerdictKeys>>,
    /// `evidence.secret`
    pub evidence: Option<Watched<WebhookSecret>>,
    /// `store.redis`
    pub store: Option<Watched<Address>>,
    /// Each `ca_file`
    pub authorities: Vec<Authorities>,
}

/// A `ca_file`, and who goes by it.
pub struct Authorities {
    /// Trusts whom the file names.
    pub tls: ClientTls,
    /// Made of the file.
    pub watched: Watched<Arc<rustls::ClientConfig>>,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            period: PERIOD,
            tls: None,
            credentials: None,
            identities: Vec::new(),
            seal_keys: None,
            verdict: None,
            evidence: None,
            store: None,
            authorities: Vec::new(),
        }
    }
}
