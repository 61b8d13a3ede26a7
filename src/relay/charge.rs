//! The limits that a request is held against before its body is received, and what its answer says of them.
//!
//! Relies on [`crate::limit`]. A quota is only looked at here: its call is reserved when it is made (`super::call`).

use super::{endpoint::Endpoint, handle::Gateway, refusal::Refusal};
use crate::route::RouteKind;
use crate::{
    auth::Caller,
    limit::{
        CallerKey,
        quota::shared::CallerQuota,
        rate::{LimitExceeded, RateLimitStatus},
        shared,
    },
    session::ledger::REMEMBERED,
    store::Store,
};

/// The limits that a request was held against.
#[derive(Default)]
pub(super) struct Charged {
    rate: Option<RateLimitStatus>,
    quota: Option<CallerQuota>,
}

impl Charged {
    /// Where the caller stands, by the policies' names; with the quota as it is now, so that the request's own call is in it, or
    /// given back.
    pub(super) fn standings(&self) -> impl Iterator<Item = (&'static str, RateLimitStatus)> {
        let quota = self.quota.as_ref();
        let quota = quota.map(|quota| ("quota", quota.standing()));
        let rate = self.rate.map(|standing| ("user", standing));
        rate.into_iter().chain(quota)
    }

    /// Where the caller's call is reserved, if it has to be.
    pub(super) fn quota(&self) -> Option<CallerQuota> {
        self.quota.clone()
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
        let store = self.store.as_ref();
        let account = endpoint
            .quota
            .as_ref()
            .map(|quota| CallerQuota::new(quota, caller, store, &endpoint.path, who));
        let checked = match store {
            // Boxed, so that a request is not made larger where there is no store.
            Some(store) => Box::pin(ask(store, endpoint, account.as_ref(), who, caller)).await,
            None => endpoint.rate.as_ref().map(|rate| rate.check(caller)),
        };
        charged.quota = account;
        if let Some(checked) = checked {
            charged.rate = Some(checked.unwrap_or_else(|wait| wait.standing));
            checked.map_err(|wait| {
                self.telemetry
                    .metrics
                    .count_limit_refusal(&endpoint.path, "rate");
                Refusal::Rate(wait)
            })?;
        }
        let Some(account) = &charged.quota else {
            return Ok(());
        };
        let keeps = endpoint.settings.kind == RouteKind::Verify && self.sessions.is_some();
        account.admit(keeps.then_some(REMEMBERED)).map_err(|wait| {
            self.telemetry
                .metrics
                .count_limit_refusal(&endpoint.path, "quota");
            Refusal::Quota(wait)
        })
    }
}

/// Charges the rate, if there is one, and looks at the quota: both at once, one wait for the store.
async fn ask(
    store: &Store,
    endpoint: &Endpoint,
    quota: Option<&CallerQuota>,
    who: &Caller,
    caller: CallerKey,
) -> Option<Result<RateLimitStatus, LimitExceeded>> {
    let looked = async {
        if let Some(account) = quota {
            account.look().await;
        }
    };
    let checked = async {
        let rate = endpoint.rate.as_ref()?;
        Some(shared::check(store, rate, &endpoint.path, who, caller).await)
    };
    let ((), checked) = tokio::join!(looked, checked);
    checked
}
