//! The first step: from a request's head to an [`Admitted`] request.
//!
//! Applies the limit of the client's address, finds the route, answers preflights and documents,
//! checks the head, authenticates the caller, and applies the rate limit. A quota is only read
//! here; [`super::forward`] reserves the call just before it is made. Never reads a byte of the
//! body.

use std::sync::Arc;

use hyper::{HeaderMap, Method, http::request::Parts};

use super::{
    access_record::AccessRecord,
    endpoint::Endpoint,
    forwarded,
    gateway::{Gateway, Page, Peer},
    headers,
    refusal::{LimitedAddress, Refusal},
    site::Site,
};
use crate::{
    auth::Caller,
    body::receive::BodyForm,
    limit::{
        CallerKey,
        quota::shared::CallerQuota,
        rate::{LimitExceeded, RateLimitStatus},
    },
    route::RouteKind,
    session::{keyring::REMEMBERED, ticket::SessionOwner},
    store::Store,
    telemetry::metrics::labels::{AuthReason, RouteLimit},
};

/// What a request's head leads to.
pub(super) enum Admission {
    /// A CORS preflight, which needs no more than its response, and the method that it may allow.
    Preflight(&'static str),
    /// A document.
    Page(Page),
    /// A path of the site.
    Site(Site),
    /// The body may be received. These limits apply.
    Forward(Admitted, RequestLimits),
}

/// A request whose body may be received.
pub(super) struct Admitted {
    /// The route.
    pub(super) endpoint: Arc<Endpoint>,
    /// The authenticated user.
    pub(super) caller: Arc<Caller>,
    /// The key under which the caller is counted.
    pub(super) caller_key: CallerKey,
    /// The caller as an owner of sessions, where sessions are bound and the route has one.
    pub(super) owner: Option<SessionOwner>,
    /// How the body is encoded.
    pub(super) form: BodyForm,
}

/// The limits that a request was checked against, for the `RateLimit` header fields.
#[derive(Default)]
pub(super) struct RequestLimits {
    rate: Option<RateLimitStatus>,
    /// The caller's quota; also where its call is reserved.
    pub(super) quota: Option<CallerQuota>,
}

impl RequestLimits {
    /// The current state of each limit, by policy name. The quota is read at this moment, so
    /// it includes the request's own call.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (&'static str, RateLimitStatus)> {
        let quota = self.quota.as_ref();
        let quota = quota.map(|quota| ("quota", quota.status()));
        let rate = self.rate.map(|status| ("user", status));
        rate.into_iter().chain(quota)
    }
}

/// A refusal before admission, with the limits that were checked by then.
pub(super) struct Rejection {
    pub(super) refusal: Refusal,
    pub(super) limits: RequestLimits,
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            limits: RequestLimits::default(),
        }
    }
}

/// Admits a request by its head. `empty` says that it has no body.
pub(super) async fn admit(
    gateway: &Gateway,
    parts: &Parts,
    peer: &Peer,
    empty: bool,
    record: &mut AccessRecord,
) -> Result<Admission, Rejection> {
    check_address(gateway, &parts.headers, peer)?;
    let endpoint = match find(gateway, parts, record)? {
        Destination::Endpoint(endpoint) => endpoint,
        Destination::Preflight(method) => return Ok(Admission::Preflight(method)),
        Destination::Page(page) => return Ok(Admission::Page(page)),
        Destination::Site(site) => return Ok(Admission::Site(Arc::clone(site))),
    };
    let begun = record.trace.clock();
    let authenticated = authenticate(gateway, &parts.headers, endpoint, peer, record).await;
    record.trace.add("authenticate", begun);
    let caller = authenticated?;
    let caller_key = gateway.callers.of(&caller);
    let limits = check_limits(gateway, endpoint, &caller, caller_key, record).await?;
    let kind = endpoint.settings.kind;
    let form = match headers::body_form(&parts.headers, kind, empty) {
        Ok(form) => form,
        Err(refusal) => return Err(Rejection { refusal, limits }),
    };
    let sessions = gateway.sessions.as_ref();
    let sessions = sessions.filter(|_| kind != RouteKind::Plain);
    let admitted = Admitted {
        endpoint: Arc::clone(endpoint),
        owner: sessions.map(|keys| SessionOwner::new(keys, &caller.issuer, &caller.user)),
        caller,
        caller_key,
        form,
    };
    Ok(Admission::Forward(admitted, limits))
}

/// Counts the request for its client's address. Nothing is exempt, since nothing about the request
/// is known yet.
fn check_address(gateway: &Gateway, headers: &HeaderMap, peer: &Peer) -> Result<(), Refusal> {
    let Some(limit) = &gateway.address_limit else {
        return Ok(());
    };
    let address = peer.address.ip();
    let client = match peer.trusted {
        true => forwarded::client_address(headers, address, &gateway.trusted_proxies),
        false => address,
    };
    limit.check(client).map_err(|wait| {
        gateway.telemetry.metrics.count_address_refusal();
        let of = match peer.trusted {
            false if forwarded::is_forwarded(headers) => LimitedAddress::UntrustedProxy,
            false => LimitedAddress::Direct,
            true if client == address => LimitedAddress::SilentProxy,
            true => LimitedAddress::Named,
        };
        Refusal::AddressRate { wait, of }
    })
}

/// Where a request's path and method lead.
enum Destination<'g> {
    Endpoint(&'g Arc<Endpoint>),
    Preflight(&'static str),
    Page(Page),
    Site(&'g Site),
}

/// Finds the destination. A head that is too large or names no valid host is refused whatever its
/// path is, so that nobody gets to keep a connection by asking for unknown ones.
fn find<'g>(
    gateway: &'g Gateway,
    parts: &Parts,
    record: &mut AccessRecord,
) -> Result<Destination<'g>, Refusal> {
    let path = parts.uri.path();
    if let Some((path, page)) = gateway.pages.get_key_value(path) {
        record.route = Some((*path).into());
        headers::check_head(parts, gateway.max_head_bytes)?;
        headers::check_query(parts)?;
        return match parts.method {
            Method::GET => Ok(Destination::Page(page.clone())),
            Method::OPTIONS => Ok(Destination::Preflight("GET")),
            _ => Err(Refusal::Method("GET, OPTIONS")),
        };
    }
    let endpoint = gateway.endpoints.find(path);
    record.route = endpoint.map(|endpoint| Arc::clone(&endpoint.path));
    headers::check_head(parts, gateway.max_head_bytes)?;
    let Some(endpoint) = endpoint else {
        let site = gateway.site.as_ref().map(Destination::Site);
        return site.ok_or(Refusal::UnknownRoute);
    };
    headers::check_query(parts)?;
    match parts.method {
        Method::POST => Ok(Destination::Endpoint(endpoint)),
        Method::OPTIONS => Ok(Destination::Preflight("POST")),
        _ => Err(Refusal::Method("POST, OPTIONS")),
    }
}

async fn authenticate(
    gateway: &Gateway,
    headers: &HeaderMap,
    endpoint: &Endpoint,
    peer: &Peer,
    record: &mut AccessRecord,
) -> Result<Arc<Caller>, Refusal> {
    let metrics = &gateway.telemetry.metrics;
    let caller = gateway
        .authenticator
        .authenticate(headers, record.time())
        .await
        .inspect_err(|rejected| {
            metrics.count_auth_refusal(rejected.refusal.label());
            record.refused_issuer.clone_from(&rejected.issuer);
        })?;
    peer.note_authenticated();
    record.caller = Some(Arc::clone(&caller));
    match &endpoint.settings.scope {
        Some(scope) if !caller.has_scope(scope) => {
            metrics.count_auth_refusal(AuthReason::InsufficientScope);
            Err(Refusal::Scope(scope.clone()))
        }
        _ => match missing_consent(gateway, endpoint, &caller) {
            Some(claim) => {
                metrics.count_auth_refusal(AuthReason::MissingConsent);
                Err(Refusal::Consent(claim.to_owned()))
            }
            None => Ok(caller),
        },
    }
}

/// The claim without which the audit log lets nobody verify, if the caller lacks it.
fn missing_consent<'g>(
    gateway: &'g Gateway,
    endpoint: &Endpoint,
    caller: &Caller,
) -> Option<&'g str> {
    let claim = gateway.audit.as_ref()?.consent_claim()?;
    let missing = endpoint.settings.kind == RouteKind::Verify && caller.consent.is_none();
    missing.then_some(claim)
}

/// Counts the request against the rate limit, and rejects callers over quota, unless this
/// may be a retry of a `verify` whose response is cached. A request that turns out not to be
/// one is rejected later, before its call.
async fn check_limits(
    gateway: &Gateway,
    endpoint: &Endpoint,
    caller: &Caller,
    key: CallerKey,
    record: &mut AccessRecord,
) -> Result<RequestLimits, Rejection> {
    let store = gateway.store.as_ref();
    let quota = endpoint.quota.as_ref();
    let quota = quota.map(|quota| CallerQuota::new(quota, key, store, &endpoint.path, caller));
    let checked = match store {
        // Boxed: without a store, no request pays for the size of this future.
        Some(store) => {
            let begun = record.trace.clock();
            let asked = Box::pin(ask(store, endpoint, quota.as_ref(), caller, key)).await;
            record.trace.add_store(begun);
            asked
        }
        None => endpoint.rate.as_ref().map(|rate| rate.check(key)),
    };
    let metrics = &gateway.telemetry.metrics;
    let rate = checked.map(|checked| checked.unwrap_or_else(|wait| wait.status));
    let limits = RequestLimits { rate, quota };
    if let Some(Err(wait)) = checked {
        metrics.count_limit_refusal(&endpoint.path, RouteLimit::Rate);
        let refusal = Refusal::Rate(wait);
        return Err(Rejection { refusal, limits });
    }
    let Some(quota) = &limits.quota else {
        return Ok(limits);
    };
    let caches = endpoint.settings.kind == RouteKind::Verify && gateway.sessions.is_some();
    match quota.admit(caches.then_some(REMEMBERED)) {
        Ok(()) => Ok(limits),
        Err(wait) => {
            metrics.count_limit_refusal(&endpoint.path, RouteLimit::Quota);
            let refusal = Refusal::Quota(wait);
            Err(Rejection { refusal, limits })
        }
    }
}

/// Checks the rate and reads the quota in the store, both at once: one round trip.
async fn ask(
    store: &Store,
    endpoint: &Endpoint,
    quota: Option<&CallerQuota>,
    caller: &Caller,
    key: CallerKey,
) -> Option<Result<RateLimitStatus, LimitExceeded>> {
    let read = async {
        if let Some(quota) = quota {
            quota.refresh().await;
        }
    };
    let check = async {
        let rate = endpoint.rate.as_ref()?;
        Some(rate.check_shared(store, &endpoint.path, caller, key).await)
    };
    let ((), checked) = tokio::join!(read, check);
    checked
}
