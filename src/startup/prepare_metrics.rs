//! Prepares the series of metrics that a gateway will count in.
//!
//! To be called for each gateway before it serves: at the start, and at each reload of the
//! configuration. Series that exist keep their numbers.

use std::sync::Arc;

use crate::{relay::gateway::Gateway, route::RouteKind};

/// Prepares the routes, documents, issuers and peers of this gateway.
pub(super) fn prepare_metrics(gateway: &Gateway) {
    let metrics = &gateway.telemetry.metrics;
    for endpoint in gateway.endpoints.all() {
        let billed = endpoint.settings.kind == RouteKind::Verify;
        metrics.prepare_route(&endpoint.path, billed);
    }
    for path in gateway.pages.keys() {
        metrics.prepare_page(&(*path).into());
    }
    let mut peers: Vec<Arc<str>> = vec!["qiniu".into()];
    if gateway.finalizer.verdicts().is_some() {
        metrics.prepare_verdicts();
    }
    if gateway.finalizer.evidence().is_some() {
        metrics.prepare_evidence();
        peers.push("evidence".into());
    }
    if gateway.audit.is_some() {
        metrics.prepare_audit();
    }
    let issuers = gateway.authenticator.fetched_issuers();
    metrics.key_sets.prepare(issuers);
    peers.extend(gateway.authenticator.fetched_issuers().map(Arc::clone));
    metrics.prepare_clocks(peers.into_iter());
}
