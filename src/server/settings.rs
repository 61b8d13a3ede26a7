//! What the operator decides about the listeners.

use std::{net::SocketAddr, sync::Arc, time::Duration};

/// `[server]`, checked.
pub struct ServerSettings {
    /// Addresses to listen on; port 0 picks a free one.
    pub listen: Vec<SocketAddr>,
    /// Peers whose `X-Forwarded-For` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Connections held at once.
    pub max_connections: usize,
    /// Bytes of a request's head: method, target and header fields together.
    pub max_head_bytes: usize,
    /// Bytes of bodies held at once, all connections together.
    pub body_memory: u64,
    /// Bytes per second that a body must keep up.
    pub min_body_rate: u64,
    /// Time for a head to arrive, from its first byte (a new connection: from its accept).
    pub head_timeout: Duration,
    /// Time a kept-alive connection may stay without a request.
    pub idle_timeout: Duration,
    /// Time given to the requests under way when the gateway stops.
    pub drain_timeout: Duration,
    /// Absent: plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// `[admin]`, checked.
pub struct AdminSettings {
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
}
