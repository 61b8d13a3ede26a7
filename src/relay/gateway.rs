//! The parts of a running gateway that a request's journey uses.
//!
//! [`crate::startup`] fills the fields once; requests share them. Never holds anything that
//! belongs to one request.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use ipnet::IpNet;

use super::{
    access_record::RequestIds, cors::Cors, endpoint::Endpoints, finalize::ResponseFinalizer,
    in_flight::InFlightCalls, site::Site, unread::UnreadUploads,
};
use crate::{
    auth::Authenticator,
    body::memory::BodyMemory,
    lifecycle::Readiness,
    limit::{CallerKeys, address::AddressLimit},
    qiniu::pool::Upstream,
    session::SessionKeys,
    store::Store,
    telemetry::Telemetry,
    verify_once::VerifyOnce,
};

/// The source of a request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Remote address of the TCP connection, or the one in a trusted proxy's PROXY header.
    pub address: SocketAddr,
    /// Whether the peer is a trusted proxy, so that its `X-Forwarded-For`, `Forwarded` and
    /// `X-Request-Id` are believed.
    pub trusted: bool,
    /// Whether the connection uses TLS.
    pub tls: bool,
    /// Whether a request of the connection was ever authenticated. A connection on which none was
    /// is closed first when there is no room for another one.
    pub authenticated: Arc<AtomicBool>,
}

impl Peer {
    /// Notes that a request of the connection was authenticated.
    pub(super) fn note_authenticated(&self) {
        // Most often it is known, and a write would take the cache line from other cores.
        if !self.authenticated.load(Ordering::Relaxed) {
            self.authenticated.store(true, Ordering::Relaxed);
        }
    }
}

/// A document that needs no token: the verdicts' key set.
#[derive(Clone)]
pub struct Page {
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// The current content.
    pub body: Arc<ArcSwap<Bytes>>,
}

/// Everything a request's journey needs, created once at start.
pub struct Gateway {
    /// Generates request ids.
    pub request_ids: RequestIds,
    /// The configured routes, by path.
    pub endpoints: Arc<Endpoints>,
    /// Verifies bearer tokens.
    pub authenticator: Arc<Authenticator>,
    /// Seals session ids to their owners; `None` with `sessions.bind = false`.
    pub sessions: Option<Arc<SessionKeys>>,
    /// Grants one call to each bound session.
    pub verify_once: Arc<VerifyOnce>,
    /// The store that replicas share; `None` for a single replica.
    pub store: Option<Arc<Store>>,
    /// Derives the keys under which callers are counted.
    pub callers: CallerKeys,
    /// The origins whose pages may read responses.
    pub cors: Cors,
    /// The memory of request bodies.
    pub body_memory: Arc<BodyMemory>,
    /// What waiting requests leave unread of their bodies.
    pub unread: UnreadUploads,
    /// The connection pool to Qiniu.
    pub upstream: Arc<Upstream>,
    /// Calls to Qiniu that have not ended yet.
    pub calls: InFlightCalls,
    /// Turns Qiniu's responses into the caller's.
    pub finalizer: Arc<ResponseFinalizer>,
    /// Documents served by `GET` without a token, by path.
    pub pages: HashMap<&'static str, Page>,
    /// Responds to all other paths, in a program that embeds the gateway.
    pub site: Option<Site>,
    /// Writes access records and metrics.
    pub telemetry: Arc<Telemetry>,
    /// Tells when requests in flight must end.
    pub readiness: Arc<Readiness>,
    /// The limit of each client's address; `None`: unlimited.
    pub address_limit: Option<AddressLimit>,
    /// Networks of trusted proxies, which are no clients.
    pub trusted_proxies: Vec<IpNet>,
    /// Maximum size of a request's head, in bytes.
    pub max_head_bytes: usize,
}
