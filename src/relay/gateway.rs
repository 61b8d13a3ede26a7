//! The parts of a running gateway that a request's journey uses.
//!
//! [`crate::startup`] fills the fields, once for each configuration; requests share them. A reload
//! puts another [`Gateway`] in the place of the [`CurrentGateway`], and a request keeps the one
//! that it began with. Never holds anything that belongs to one request.

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
    cors::Cors, endpoint::Endpoints, finalize::ResponseFinalizer, in_flight::InFlightCalls,
    request_id::RequestIds, site::Site, unread::UnreadUploads,
};
use crate::{
    audit::AuditLog,
    auth::Authenticator,
    body::memory::BodyMemory,
    lifecycle::Readiness,
    limit::{CallerKeys, address::AddressLimit},
    memory::MemoryBudget,
    qiniu::{kept_back::KeptBackNames, pool::Upstream},
    session::SessionKeys,
    store::Store,
    telemetry::Telemetry,
    traces::Tracer,
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

/// The gateway of the configuration in use, which a reload replaces.
pub struct CurrentGateway(ArcSwap<Gateway>);

impl CurrentGateway {
    /// Starts with this one.
    pub fn new(gateway: Gateway) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(gateway)))
    }

    /// The gateway of this moment.
    pub fn load(&self) -> Arc<Gateway> {
        self.0.load_full()
    }

    /// Handles requests that arrive from now on with another one.
    pub fn replace(&self, gateway: Arc<Gateway>) {
        self.0.store(gateway);
    }
}

/// Everything a request's journey needs, by one configuration.
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
    /// The memory of whole responses that wait for their delivery as evidence.
    pub response_memory: Arc<MemoryBudget>,
    /// Names of members of responses that were logged.
    pub kept_back: Arc<KeptBackNames>,
    /// What waiting requests leave unread of their bodies.
    pub unread: UnreadUploads,
    /// The connection pool to Qiniu.
    pub upstream: Arc<Upstream>,
    /// Calls to Qiniu that have not ended yet.
    pub calls: Arc<InFlightCalls>,
    /// Turns Qiniu's responses into the caller's.
    pub finalizer: Arc<ResponseFinalizer>,
    /// Records each `verify` for good; `None` without `[audit]`.
    pub audit: Option<Arc<AuditLog>>,
    /// Documents served by `GET` without a token, by path.
    pub pages: HashMap<&'static str, Page>,
    /// Responds to all other paths, in a program that embeds the gateway.
    pub site: Option<Site>,
    /// Writes access records and metrics.
    pub telemetry: Arc<Telemetry>,
    /// Tells when requests in flight must end.
    pub readiness: Arc<Readiness>,
    /// The limit of each client's address; `None`: unlimited.
    pub address_limit: Option<Arc<AddressLimit>>,
    /// Networks of trusted proxies, which are no clients.
    pub trusted_proxies: Vec<IpNet>,
    /// Maximum size of a request's head, in bytes.
    pub max_head_bytes: usize,
    /// Records traces, with a collector.
    pub tracer: Option<Arc<Tracer>>,
}
