//! From checked settings to the gateway that requests use: the first one, and those that follow it
//! when the configuration is reloaded.
//!
//! A later gateway is built beside the one in use, and takes from it what lives on: what was
//! counted of callers, sessions and their responses, fetched keys, connections, the store, the
//! memory for bodies, metrics. Nothing of the one in use is changed by that: [`super::change`] does
//! so, once the new one is complete.

use std::{collections::HashMap, io, sync::Arc, time::Instant};

use aws_lc_rs::error::Unspecified;

use crate::{
    audit::AuditLog,
    auth::{Authenticator, Pseudonymizer},
    body::memory::{BodyLimits, BodyMemory},
    config::{ChangedKeys, Settings},
    descriptors::allowed_connections,
    instruments::Gauge,
    limit::{CallerKeys, address::AddressLimit, clock::Clock},
    memory::MemoryBudget,
    qiniu::{UpstreamSettings, pool::Upstream, retained},
    relay::{
        cors::Cors,
        endpoint::Endpoints,
        finalize::ResponseFinalizer,
        gateway::{Gateway, Page},
        request_id::RequestIds,
        unread::UnreadUploads,
    },
    secret::Secret,
    server::{ADMIN_DESCRIPTORS, ServerSettings},
    session::{SessionKeys, SessionSettings, seal::SealKey},
    store::{NamingKey, Store, StoreSettings},
    telemetry::{Telemetry, log::LogWriter, metrics::Metrics, peer_clock::PeerClock},
    traces::{TracedServer, TracedServers, Tracer},
    verdict::sign::VerdictSigner,
    verify_once::VerifyOnce,
};

/// File descriptors kept for the store, files that are read again, the log and the runtime.
const OTHER_DESCRIPTORS: usize = 32;

/// Path of the verdicts' public keys.
const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// Builds the first gateway.
///
/// # Errors
/// The system returns no random bytes, or the audit log can't be written.
pub(super) fn first(settings: &mut Settings, log: LogWriter, clock: &Clock) -> io::Result<Gateway> {
    limit_connections(settings);
    let servers = traced_servers(settings);
    let metrics = Metrics::new(log.clone());
    let (qiniu, sessions) = (&settings.qiniu, settings.sessions.as_ref());
    let store = open_store(settings.store.take(), sessions, qiniu, &metrics)?;
    let shared = store.clone().filter(|_| sessions.is_some());
    let sessions = session_keys(sessions, qiniu)?;
    let pseudonyms = Pseudonymizer::new(&qiniu.credentials.secret_key);
    let authenticator = Authenticator::new(std::mem::take(&mut settings.identities), pseudonyms)
        .copying_claims(copied_claims(settings))
        .copying_consent(consent_claim(settings));
    let verdict = settings.verdict.take();
    let finalizer =
        ResponseFinalizer::new(verdict, settings.evidence.take()).watching_clocks(&metrics);
    // Not shown: the metric of body memory is about bodies alone.
    let response_memory = MemoryBudget::new(response_room(settings), Gauge::default());
    let kept_back = Arc::default();
    let readiness = Arc::default();
    let audit = settings.audit.as_ref();
    let start = |audit| AuditLog::start(audit, finalizer.verdicts(), &metrics, &readiness);
    let audit = audit.map(start).transpose()?.map(Arc::new);
    let mut needs = finalizer.needs(&response_memory, sessions.is_some(), &kept_back);
    needs.video_digest |= audit.is_some();
    let routes = std::mem::take(&mut settings.routes);
    let endpoints = Endpoints::new(routes, &settings.qiniu, &needs, clock);
    let server = &settings.server;
    show_limits(&metrics, server);
    let traces = settings.traces.take();
    let tracer = traces.map(|traces| Tracer::start(traces, servers, &metrics));
    Ok(Gateway {
        request_ids: RequestIds::default(),
        endpoints: Arc::new(endpoints),
        authenticator: Arc::new(authenticator),
        verify_once: VerifyOnce::new(shared),
        sessions,
        store,
        callers: CallerKeys::default(),
        cors: Cors::new(&settings.cors),
        body_memory: BodyMemory::new(body_limits(server), metrics.body_memory.clone()),
        response_memory,
        kept_back,
        unread: UnreadUploads::default(),
        upstream: upstream(settings, &metrics),
        calls: Arc::default(),
        pages: key_set(&finalizer),
        site: None,
        finalizer: Arc::new(finalizer),
        audit,
        telemetry: Arc::new(Telemetry {
            metrics,
            log,
            format: settings.log.format,
            lines: Arc::default(),
        }),
        readiness,
        address_limit: address_limit(None, server),
        trusted_proxies: server.trusted_proxies.clone(),
        max_head_bytes: server.max_head_bytes,
        tracer,
    })
}

/// Connections to Qiniu, whose clock is watched.
fn upstream(settings: &Settings, metrics: &Arc<Metrics>) -> Arc<Upstream> {
    let clock = PeerClock::new("qiniu".into(), Arc::clone(metrics));
    Arc::new(Upstream::new(settings.qiniu.clone()).watching(clock))
}

/// Builds the gateway that follows `previous`, whose configuration differs in these keys.
pub(super) fn following(
    previous: &Gateway,
    settings: &mut Settings,
    changed: &ChangedKeys,
) -> Gateway {
    limit_connections(settings);
    let servers = traced_servers(settings);
    let deployment = &settings.qiniu.endpoint.authority;
    let sessions = previous.sessions.as_ref();
    let sessions = sessions.map(|sessions| sessions.at(deployment));
    let authenticator = authenticator_after(&previous.authenticator, settings);
    let verdict = settings.verdict.take();
    let metrics = &previous.telemetry.metrics;
    let finalizer =
        ResponseFinalizer::new(verdict, settings.evidence.take()).watching_clocks(metrics);
    finalizer.follow(&previous.finalizer, Instant::now());
    let (response_memory, kept_back) = (&previous.response_memory, &previous.kept_back);
    let audit = previous.audit.as_ref().zip(settings.audit.as_ref());
    let audit = audit.map(|(log, settings)| log.followed_by(settings, finalizer.verdicts()));
    let mut needs = finalizer.needs(response_memory, sessions.is_some(), kept_back);
    needs.video_digest |= audit.is_some();
    let routes = std::mem::take(&mut settings.routes);
    let endpoints = &previous.endpoints;
    let endpoints = endpoints.followed_by(routes, &settings.qiniu, &needs);
    let server = &settings.server;
    let tracer = match (traces_otherwise(changed), settings.traces.take()) {
        (true, traces) => traces.map(|traces| Tracer::start(traces, servers, metrics)),
        (false, _) => previous.tracer.clone(),
    };
    Gateway {
        request_ids: RequestIds::default(),
        endpoints: Arc::new(endpoints),
        authenticator: Arc::new(authenticator),
        verify_once: Arc::clone(&previous.verify_once),
        sessions,
        store: previous.store.clone(),
        callers: previous.callers.clone(),
        cors: Cors::new(&settings.cors),
        body_memory: Arc::clone(&previous.body_memory),
        response_memory: Arc::clone(response_memory),
        kept_back: Arc::clone(kept_back),
        unread: previous.unread.clone(),
        upstream: match reaches_qiniu_otherwise(changed) {
            true => upstream(settings, metrics),
            false => Arc::clone(&previous.upstream),
        },
        calls: Arc::clone(&previous.calls),
        pages: key_set(&finalizer),
        site: previous.site.clone(),
        finalizer: Arc::new(finalizer),
        audit: audit.map(Arc::new),
        telemetry: Arc::new(Telemetry {
            metrics: Arc::clone(metrics),
            log: previous.telemetry.log.clone(),
            format: settings.log.format,
            lines: Arc::clone(&previous.telemetry.lines),
        }),
        readiness: Arc::clone(&previous.readiness),
        address_limit: address_limit(previous.address_limit.as_deref(), server),
        trusted_proxies: server.trusted_proxies.clone(),
        max_head_bytes: server.max_head_bytes,
        tracer,
    }
}

fn authenticator_after(previous: &Authenticator, settings: &mut Settings) -> Authenticator {
    let identities = std::mem::take(&mut settings.identities);
    let (claims, consent) = (copied_claims(settings), consent_claim(settings));
    previous.followed_by(identities, claims, consent)
}

/// The limit of each address, in which what was `counted` counts.
fn address_limit(
    counted: Option<&AddressLimit>,
    server: &ServerSettings,
) -> Option<Arc<AddressLimit>> {
    let rate = server.rate_per_address?;
    let limit = match counted {
        Some(counted) => counted.followed_by(rate),
        None => AddressLimit::new(rate),
    };
    limit.map(Arc::new)
}

/// The limits of the memory for bodies.
pub(super) fn body_limits(server: &ServerSettings) -> BodyLimits {
    BodyLimits {
        memory: server.body_memory,
        per_user: server.body_memory_per_user,
        min_rate: server.min_body_rate,
    }
}

/// Shows the limits in metrics.
pub(super) fn show_limits(metrics: &Metrics, server: &ServerSettings) {
    let body_memory = i64::try_from(server.body_memory).unwrap_or(i64::MAX);
    metrics.body_memory_limit.set(body_memory);
    let connections = i64::try_from(server.max_connections).unwrap_or(i64::MAX);
    metrics.connections_limit.set(connections);
}

/// The size of the memory for whole responses, in bytes.
pub(super) fn response_room(settings: &Settings) -> u64 {
    retained::room(settings.qiniu.max_connections, settings.server.body_memory)
}

/// The key that names callers in the store. All replicas derive the same one: from the seal key,
/// or from Qiniu's secret key where sessions are not bound.
pub(super) fn naming_key(
    sessions: Option<&SessionSettings>,
    qiniu_secret: &Secret,
) -> Result<NamingKey, Unspecified> {
    match sessions.map(|sessions| &sessions.seal_key) {
        Some(Some(key)) => NamingKey::derive(key.reveal()),
        // The configuration requires a seal key beside a store; without one a replica counts alone.
        Some(None) => NamingKey::derive(SealKey::random()?.reveal()),
        None => NamingKey::derive(qiniu_secret.reveal()),
    }
}

/// Whether connections to Qiniu that are kept must not be used any more.
fn reaches_qiniu_otherwise(changed: &ChangedKeys) -> bool {
    ["qiniu.endpoint", "qiniu.ca_file", "outbound"]
        .iter()
        .any(|key| changed.has(key))
}

/// Whether traces go elsewhere, or name other servers.
fn traces_otherwise(changed: &ChangedKeys) -> bool {
    ["telemetry", "outbound", "qiniu.endpoint", "evidence"]
        .iter()
        .any(|key| changed.has(key))
}

/// The servers that spans name.
fn traced_servers(settings: &Settings) -> TracedServers {
    let evidence = settings.evidence.as_ref();
    TracedServers {
        qiniu: TracedServer::of(&settings.qiniu.endpoint),
        evidence: evidence.map(|evidence| TracedServer::of(&evidence.url.origin)),
    }
}

/// Limits the connections of the public listener to the file descriptors that are left when those
/// for everything else are kept.
fn limit_connections(settings: &mut Settings) {
    let calls = settings.qiniu.max_connections;
    let deliveries = if settings.evidence.is_some() {
        calls
    } else {
        0
    };
    let reserved = [
        calls,
        deliveries,
        settings.identities.len(),
        settings.server.listen.len(),
        ADMIN_DESCRIPTORS,
        OTHER_DESCRIPTORS,
    ]
    .into_iter()
    .fold(0, usize::saturating_add);
    let server = &mut settings.server;
    server.max_connections = allowed_connections(server.max_connections, reserved);
}

/// The claims that verdicts repeat.
fn copied_claims(settings: &Settings) -> Vec<String> {
    let verdict = settings.verdict.as_ref();
    verdict.map_or_else(Vec::new, |verdict| verdict.copy_claims.clone())
}

/// The claim that says what a user has consented to.
fn consent_claim(settings: &Settings) -> Option<&str> {
    settings.audit.as_ref()?.consent_claim.as_deref()
}

/// The document with the verdicts' public keys, with `[verdict]`.
fn key_set(finalizer: &ResponseFinalizer) -> HashMap<&'static str, Page> {
    let page = |verdicts: &Arc<VerdictSigner>| Page {
        content_type: "application/json",
        body: Arc::clone(verdicts.published()),
    };
    let page = finalizer.verdicts().map(page);
    page.map(|page| (KEY_SET_PATH, page)).into_iter().collect()
}

fn open_store(
    settings: Option<StoreSettings>,
    sessions: Option<&SessionSettings>,
    qiniu: &UpstreamSettings,
    metrics: &Metrics,
) -> io::Result<Option<Arc<Store>>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let naming = naming_key(sessions, &qiniu.credentials.secret_key).map_err(no_random_bytes)?;
    let store = Store::new(settings, naming, metrics).map_err(no_random_bytes)?;
    Ok(Some(store))
}

fn session_keys(
    settings: Option<&SessionSettings>,
    qiniu: &UpstreamSettings,
) -> io::Result<Option<Arc<SessionKeys>>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    if settings.seal_key.is_none() {
        tracing::info!(
            "sessions.seal_key is not set: sessions are valid in this process only, not in its replicas"
        );
    }
    let sessions = SessionKeys::new(settings, &qiniu.endpoint.authority);
    Ok(Some(sessions.map_err(no_random_bytes)?))
}

fn no_random_bytes(_: Unspecified) -> io::Error {
    io::Error::other("the system returns no random bytes")
}
