//! The upstream: signing requests, keeping connections, calling Qiniu and reading its responses.
//!
//! [`signature`] signs, and [`request`] is the only builder of a signed request. [`pool`] keeps
//! connections, and [`upcoming`] opens one for a request that is still arriving. [`upstream_call`]
//! makes one call; [`response`] turns the bytes of a response into what a caller may see, and
//! [`kept_back`] names what that leaves out. [`scores`] are what a verdict is based on, and
//! [`retained`] is a response with its pictures. [`probe`] only asks whether Qiniu is there. Relies
//! on [`crate::outbound`] for HTTP itself.
//!
//! Never sends a request twice once one of its bytes may have been written, except when the caller
//! of [`pool::Upstream::call`] allows it.

mod clock;
pub mod kept_back;
pub mod pool;
pub mod probe;
pub mod request;
pub mod response;
pub mod retained;
pub mod scores;
mod sealing_sink;
pub mod signature;
pub mod upcoming;
pub mod upstream_call;

use std::time::Duration;

use crate::{
    outbound::{connection::ClientTls, dial::Dialer, origin::Origin},
    secret::Secret,
};

/// The validated `[qiniu]` section.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Base URL of Qiniu.
    pub endpoint: Origin,
    /// The keys that sign requests.
    pub credentials: Credentials,
    /// Whether to send and sign `X-Qiniu-Date`.
    pub sign_date: bool,
    /// Opens connections to the upstream.
    pub dialer: Dialer,
    /// TLS to the upstream; `None` exactly if the endpoint is `http://`.
    pub tls: Option<ClientTls>,
    /// Timeout for opening a connection: name, TCP, proxy and TLS handshake together.
    pub connect_timeout: Duration,
    /// Maximum number of open connections, idle ones included.
    pub max_connections: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

/// Qiniu's keys: the access key names the account, the secret key signs.
#[derive(Clone)]
pub struct Credentials {
    /// Sent in the `Authorization` header.
    pub access_key: Secret,
    /// Never leaves the process.
    pub secret_key: Secret,
}
