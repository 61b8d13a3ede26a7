//! What the operator decides about the upstream.

use std::time::Duration;

use crate::{
    outbound::{origin::Origin, tls::ClientTls},
    secret::Secret,
};

/// `[qiniu]`, checked.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Where Qiniu is.
    pub endpoint: Origin,
    /// The keys that sign.
    pub credentials: Credentials,
    /// Whether `X-Qiniu-Date` is sent and signed.
    pub sign_date: bool,
    /// TLS to the upstream; absent exactly when the endpoint is `http://`.
    pub tls: Option<ClientTls>,
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
