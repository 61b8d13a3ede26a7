//! A quota that holds for all replicas together: each call is reserved here and in the store.
//!
//! Each replica tells the store how many of a caller's calls are its own, all of them each time, so nothing that got lost has to be
//! made up for: the next word does. Its own count bounds what it makes in any case. So when the store goes away, this replica
//! goes on with its own calls and what it last heard of the others', and nobody starts anew; without a store there are no others.

use std::{sync::Arc, time::Duration};

use super::{Quota, Reservation};
use crate::{
    auth::Caller,
    limit::{
        CallerKey,
        rate::{LimitExceeded, RateLimitStatus},
    },
    store::{CounterTotal, CounterUpdate, Store, StoreKey, Unavailable},
};

/// A caller's part in the quota of a route.
#[derive(Clone)]
pub struct CallerQuota {
    quota: Arc<Quota>,
    key: CallerKey,
    shared: Option<Shared>,
}

/// Among the replicas.
#[derive(Clone)]
struct Shared {
    store: Arc<Store>,
    name: StoreKey,
}

/// One call that is reserved.
#[must_use = "a call that is dropped before it begins is given back"]
pub struct Reserved {
    account: CallerQuota,
    call: Reservation,
    window: u64,
}

impl CallerQuota {
    /// Of a caller, by the key of this process and by name.
    pub fn new(
        quota: &Arc<Quota>,
        key: CallerKey,
        store: Option<&Arc<Store>>,
        route: &str,
        caller: &Caller,
    ) -> Self {
        let shared = store.and_then(|store| {
            Some(Shared {
                store: Arc::clone(store),
                name: store.name("quota", route, caller).ok()?,
            })
        });
        Self {
            quota: Arc::clone(quota),
            key,
            shared,
        }
    }

    /// What is left to the caller, as far as it is known here.
    pub fn standing(&self) -> RateLimitStatus {
        self.quota.standing(self.key)
    }

    /// Whether a request may still come to a call, as [`Quota::admit`] has it.
    ///
    /// # Errors
    /// The quota is used up.
    pub fn admit(&self, kept: Option<Duration>) -> Result<(), LimitExceeded> {
        self.quota.admit(self.key, kept)
    }

    /// Hears what the other replicas have counted in this window, and tells them what they may have missed.
    pub async fn look(&self) {
        let word = self.quota.word(self.key, None);
        // Unavailable: what is known here has to do.
        let _ = self.tell(&word, None).await;
    }

    /// Reserves one call, just before it is made.
    ///
    /// # Errors
    /// The quota is used up.
    pub async fn reserve(self) -> Result<Reserved, LimitExceeded> {
        let (call, word) = self.quota.hold(self.key)?;
        let call = match self.tell(&word, Some(self.quota.most())).await {
            Ok(tally) if tally.fits => call,
            Ok(tally) => {
                drop(call);
                let word = self.quota.word(self.key, Some(word.window));
                // It spoke of this call meanwhile, on behalf of another.
                if word.calls.is_some_and(|calls| calls < tally.own) {
                    let _ = self.tell(&word, None).await;
                }
                return Err(self.quota.used_up());
            }
            Err(Unavailable) => call.alone()?,
        };
        Ok(Reserved {
            account: self,
            call,
            window: word.window,
        })
    }

    async fn tell(
        &self,
        word: &CounterUpdate,
        most: Option<u32>,
    ) -> Result<CounterTotal, Unavailable> {
        let Shared { store, name } = self.shared.as_ref().ok_or(Unavailable)?;
        let tally = store.count(name, word, most).await?;
        self.quota.hear(self.key, word.window, &tally);
        Ok(tally)
    }
}

impl Reserved {
    /// The call begins. From here on it counts, whatever becomes of the one who makes it, unless it is given back by word.
    pub fn begin(&mut self) {
        self.call.begin();
    }

    /// Qiniu surely took nothing on. If the store can't be told now, the others hear of it with the caller's next request here.
    pub async fn give_back(self) {
        let Self {
            account,
            call,
            window,
        } = self;
        call.give_back();
        let word = account.quota.word(account.key, Some(window));
        let told = account.tell(&word, None).await;
        // Once more if only this answer was late.
        let there = |shared: &Shared| shared.store.link.is_up();
        if told.is_err() && account.shared.as_ref().is_some_and(there) {
            let _ = account.tell(&word, None).await;
        }
    }
}
