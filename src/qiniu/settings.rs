//! What the operator decides about the upstream.

use std::{sync::Arc, time::Duration};

use crate::config::secret::Secret;

/// `[qiniu]`, checked.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Where Qiniu is.
    pub endpoint: Endpoint,
    /// The keys that sign.
    pub credentials: Credentials,
    /// Whether `X-Qiniu-Date` is sent and signed.
    pub sign_date: bool,
    /// TLS to the upstream; absent exactly when the endpoint is `http://`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Time for TCP and TLS together.
    pub connect_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
}

/// The access key names the account; the secret key signs.
#[derive(Clone)]
pub struct Credentials {
    /// Goes into the `Authorization` header.
    pub access_key: Secret,
    /// Never leaves the process.
    pub secret_key: Secret,
}

/// A parsed `http://host[:port]` or `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https`.
    pub tls: bool,
    /// Name or address to connect to, without brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// The `Host` header: the port is left out where it is the scheme's own.
    pub authority: String,
}
