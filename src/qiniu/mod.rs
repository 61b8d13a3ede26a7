//! The upstream: signing, connections, answers.
//!
//! [`signature`] signs, [`request`] is the only builder of a signed request, [`pool`] keeps connections, and [`response`] makes
//! the call and turns what comes back into what a caller may see; [`scores`] are what a verdict is made of, [`retained`] is an answer with
//! its pictures. Relies on [`crate::outbound`] for HTTP itself.
//! This part never sends a request twice once one of its bytes may have left, with one exception that its caller asks for.

pub mod pool;
pub mod request;
pub mod response;
pub mod retained;
pub mod scores;
pub mod signature;
pub mod upstream_call;

use std::time::Duration;

use crate::{
    outbound::{connection::ClientTls, origin::Origin},
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
