//! The limits that a request is held against before its body is received, and what its answer says of them.
//!
//! Relies on [`crate::limit`]. A quota is only looked at here: its call is reserved when it is made (`super::call`).

use std::sync::Arc;

use super::{RouteKind, endpoint::Endpoint, handle::Gateway, refusal::Refusal};
use crate::{
    auth::Caller,
    limit::{CallerKey, quota::Quota, rate::Standing, shared},
    session::ledger::REMEMBERED,
};

/// The limits that a request was held against.
#[derive(Default)]
pub(super) struct Charged {
    rate: Option<Standing>,
    quota: Option<(Arc<Quota>, CallerKey)>,
}

impl Charged {
    /// Where the caller stands, by the policies' names; with the quota as it is now, so that the request's own call is in it, or
    /// given back.
    pub(super) fn standings(&self) -> impl Iterator<Item = (&'static str, Standing)> {
        let quota = self.quota.as_ref();
        let quota = quota.map(|(quota, caller)| ("quota", quota.standing(*caller)));
        let rate = self.rate.map(|standing| ("user", standing));
        rate.into_iter().chain(quota)
    }
}

impl Gateway {
    /// Charges the rate, and refuses whose quota is used up; but who may be asking for a kept answer again must be heard first,
    /// and is refused, if it is none, before the call.
    pub(super) async fn charge(
        &self,
        endpoint: &Endpoint,
        who: &Caller,
        caller: CallerKey,
        charged: &mut Charged,
    ) -> Result<(), Refusal> {
        charged.quota = endpoint.quota.clone().map(|quota| (quota, caller));
        if let Some(rate) = &endpoint.rate {
            let store = self.store.as_deref();
            let checked = shared::check(store, rate, &endpoint.path, who, caller).await;
            charged.rate = Some(checked.unwrap_or_else(|wait| wait.standing));
            if let Err(wait) = checked {
                self.observer.metrics.limit_refused(&endpoint.path, "rate");
                return Err(Refusal::Rate(wait));
            }
        }
        let Some(quota) = &endpoint.quota else {
            return Ok(());
        };
        let keeps = endpoint.settings.kind == RouteKind::Verify && self.sessions.is_some();
        quota
            .admit(caller, keeps.then_some(REMEMBERED))
            .map_err(|wait| {
                self.observer.metrics.limit_refused(&endpoint.path, "quota");
                Refusal::Quota(wait)
            })
    }
}
