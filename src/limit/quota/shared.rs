//! A caller's quota on all replicas together: each call is reserved on this replica and in the
//! store.
//!
//! Each replica publishes how many of a caller's calls are its own, all of them each time, so an
//! update that got lost needs no repair: the next one replaces it. Its own count limits a replica's
//! calls in any case. So when the store is lost, the replica goes on with its own calls and what it
//! last learned of the others', and no quota begins anew. Without a store there are no others.

use std::{sync::Arc, time::Duration};

use super::{Quota, Reservation};
use crate::{
    auth::Caller,
    limit::{
        caller::CallerKey,
        rate::{LimitExceeded, RateLimitStatus},
    },
    store::{CounterTotal, CounterUpdate, Store, StoreKey, Unavailable},
};

/// The quota of one caller on a route.
#[derive(Clone)]
pub struct CallerQuota {
    quota: Arc<Quota>,
    caller: CallerKey,
    shared: Option<SharedCount>,
}

/// The caller's count in the store.
#[derive(Clone)]
struct SharedCount {
    store: Arc<Store>,
    key: StoreKey,
}

/// One call that is reserved on all replicas.
#[must_use = "a call that is dropped before it begins is returned"]
pub struct ReservedCall {
    quota: CallerQuota,
    reservation: Reservation,
    window: u64,
}

impl CallerQuota {
    /// The quota of `caller`, whose `key` identifies it on this replica.
    pub fn new(
        quota: &Arc<Quota>,
        key: CallerKey,
        store: Option<&Arc<Store>>,
        route: &str,
        caller: &Caller,
    ) -> Self {
        let shared = store.map(|store| SharedCount {
            store: Arc::clone(store),
            key: store.caller_key("quota", route, &caller.issuer, &caller.user),
        });
        Self {
            quota: Arc::clone(quota),
            caller: key,
            shared,
        }
    }

    /// What is left to the caller, as far as this replica knows.
    pub fn status(&self) -> RateLimitStatus {
        self.quota.status(self.caller)
    }

    /// Rejects callers over quota, as [`Quota::admit`] does.
    ///
    /// # Errors
    /// The quota is used up.
    pub fn admit(&self, cached: Option<Duration>) -> Result<(), LimitExceeded> {
        self.quota.admit(self.caller, cached)
    }

    /// Learns what the other replicas have counted in this window, and publishes this replica's
    /// calls.
    pub async fn refresh(&self) {
        let update = self.quota.update(self.caller, None);
        // While the store is unavailable, what this replica knows has to do.
        let _ = self.publish(&update, None).await;
    }

    /// Reserves one call, just before it is made.
    ///
    /// # Errors
    /// The quota is used up.
    pub async fn reserve(self) -> Result<ReservedCall, LimitExceeded> {
        let (reservation, update) = self.quota.hold(self.caller)?;
        let reservation = match self.publish(&update, Some(self.quota.max())).await {
            Ok(total) if total.fits => reservation,
            Ok(total) => {
                drop(reservation);
                let update = self.quota.update(self.caller, Some(update.window));
                // A concurrent request may have published this call.
                if update.calls.is_some_and(|calls| calls < total.own) {
                    let _ = self.publish(&update, None).await;
                }
                return Err(self.quota.used_up());
            }
            Err(Unavailable) => reservation.without_replicas()?,
        };
        Ok(ReservedCall {
            quota: self,
            reservation,
            window: update.window,
        })
    }

    async fn publish(
        &self,
        update: &CounterUpdate,
        max: Option<u32>,
    ) -> Result<CounterTotal, Unavailable> {
        let SharedCount { store, key } = self.shared.as_ref().ok_or(Unavailable)?;
        let total = store.count(key, update, max).await?;
        self.quota.learn(self.caller, update.window, &total);
        Ok(total)
    }
}

impl ReservedCall {
    /// The call begins. From now on it counts, even if the request that makes it is dropped, unless
    /// it is returned by [`ReservedCall::give_back`].
    pub fn begin(&mut self) {
        self.reservation.begin();
    }

    /// Returns the call: Qiniu certainly did not take the request. If the store can't be reached
    /// now, the other replicas learn of it with the caller's next request here.
    pub async fn give_back(self) {
        let Self {
            quota,
            reservation,
            window,
        } = self;
        reservation.give_back();
        let update = quota.quota.update(quota.caller, Some(window));
        let published = quota.publish(&update, None).await;
        // Retried once if only this reply was late.
        let is_up = |shared: &SharedCount| shared.store.link.is_up();
        if published.is_err() && quota.shared.as_ref().is_some_and(is_up) {
            let _ = quota.publish(&update, None).await;
        }
    }
}
