//! The script that counts quotas, in whatever order updates reach it.

use std::{cell::Cell, num::NonZeroU32, sync::Arc, time::Duration};

use liveness_gateway::{
    auth::Caller,
    limit::{
        CallerKey, CallerKeys,
        clock::Clock,
        quota::{Quota, Reservation, shared::CallerQuota},
    },
    route::Rate,
    store::{CounterTotal, CounterUpdate, NamingKey, Store},
    telemetry::{log::LogWriter, metrics::Metrics},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::configured;
use crate::support::{
    quota::clock,
    redis::{self, Redis},
    routes,
};

const MAX: u32 = 4;

/// One replica's count, and the updates that it has not published yet.
struct Replica {
    store: Arc<Store>,
    quota: Arc<Quota>,
    key: CallerKey,
    asked: Vec<(Reservation, CounterUpdate)>,
    granted: Vec<Reservation>,
    updates: Vec<CounterUpdate>,
}

/// A replica's client of the store, connected.
async fn store(redis: &Redis) -> Arc<Store> {
    store_with(redis, b"the secret of all replicas").await
}

/// A client that names callers by this secret.
pub(crate) async fn store_with(redis: &Redis, secret: &[u8]) -> Arc<Store> {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let settings = configured(nowhere, &redis.url(), "timeout = \"5s\"", &routes());
    let naming = NamingKey::derive(secret).unwrap();
    let metrics = Metrics::new(LogWriter::capture().0);
    let store = Store::new(settings.store.unwrap(), naming, &metrics).unwrap();
    let kept = Arc::clone(&store);
    tokio::spawn(async move { kept.keep().await });
    let mut changes = store.link.changes();
    changes.wait_for(Option::is_some).await.unwrap();
    store
}

pub(crate) fn caller(user: &str) -> Caller {
    Caller {
        issuer: "issuer".into(),
        user: user.into(),
        scopes: Vec::new(),
        copied_claims: None,
        consent: None,
        pseudonym: "".into(),
    }
}

impl Replica {
    fn new(store: &Arc<Store>, clock: &Clock, caller: &Caller) -> Self {
        let rate = Rate {
            count: NonZeroU32::new(MAX).unwrap(),
            per: Duration::from_secs(86_400),
        };
        Self {
            store: Arc::clone(store),
            quota: Quota::new(rate, clock.clone()),
            key: CallerKeys::default().of(caller),
            asked: Vec::new(),
            granted: Vec::new(),
            updates: Vec::new(),
        }
    }

    fn account(&self, caller: &Caller) -> CallerQuota {
        CallerQuota::new(&self.quota, self.key, Some(&self.store), "/route", caller)
    }

    async fn publish(
        &self,
        caller: &Caller,
        update: &CounterUpdate,
        most: Option<u32>,
    ) -> CounterTotal {
        let key = self
            .store
            .caller_key("quota", "/route", &caller.issuer, &caller.user);
        let total = self.store.count(&key, update, most).await.unwrap();
        self.quota.learn(self.key, update.window, &total);
        total
    }

    fn update(&self) -> CounterUpdate {
        self.quota.update(self.key, None)
    }

    /// Publishes one of the reserved calls, and settles it by the reply.
    async fn ask(&mut self, caller: &Caller, which: usize) {
        let (mut call, update) = self.asked.swap_remove(which % self.asked.len());
        let total = self.publish(caller, &update, Some(MAX)).await;
        if total.fits {
            call.begin();
            self.granted.push(call);
        } else {
            drop(call);
            self.updates.push(self.update());
        }
    }

    async fn step(&mut self, caller: &Caller, what: u8, which: usize) {
        match what {
            0 | 1 => self.asked.extend(self.quota.hold(self.key).ok()),
            2 | 3 if !self.asked.is_empty() => self.ask(caller, which).await,
            4 if !self.granted.is_empty() => {
                let call = self.granted.swap_remove(which % self.granted.len());
                call.give_back();
                self.updates.push(self.update());
            }
            5 if !self.updates.is_empty() => {
                let update = self.updates.swap_remove(which % self.updates.len());
                self.publish(caller, &update, None).await;
            }
            _ => self.updates.push(self.update()),
        }
    }
}

async fn go_through(stores: &[Arc<Store>; 2], user: &str, steps: Vec<(usize, u8, usize)>) {
    let (clock, _) = clock();
    let caller = caller(user);
    let mut both = [0, 1].map(|number| Replica::new(&stores[number], &clock, &caller));
    let granted = |both: &[Replica; 2]| both.iter().map(|it| it.granted.len()).sum::<usize>();
    for (replica, what, which) in steps {
        both[replica].step(&caller, what, which).await;
        assert!(granted(&both) <= usize::try_from(MAX).unwrap());
    }
    for replica in &mut both {
        while !replica.asked.is_empty() {
            replica.ask(&caller, 0).await;
        }
        for update in replica.updates.split_off(0) {
            replica.publish(&caller, &update, None).await;
        }
    }
    assert!(granted(&both) <= usize::try_from(MAX).unwrap());
    for replica in &both {
        replica.publish(&caller, &replica.update(), None).await;
    }
    // In the end all replicas know the total.
    for replica in &both {
        let total = replica.publish(&caller, &replica.update(), None).await;
        assert_eq!(usize::try_from(total.all).unwrap(), granted(&both));
        let left = replica.quota.status(replica.key).remaining;
        assert_eq!(left, MAX - total.all);
    }
}

#[test]
fn in_whatever_order_updates_arrive_the_quota_holds_and_every_replica_learns_the_total() {
    if !redis::is_there() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = runtime.block_on(Redis::start());
    let stores = runtime.block_on(async { [store(&redis).await, store(&redis).await] });
    let steps = prop::collection::vec((0..2_usize, 0..7_u8, 0..8_usize), 1..60);
    let mut runner = TestRunner::new(Config::with_cases(100));
    // Each case has a user of its own, so that one Redis suffices.
    let users = Cell::new(0);
    let ran = runner.run(&steps, |steps| {
        users.set(users.get() + 1);
        let user = format!("user-{}", users.get());
        runtime.block_on(go_through(&stores, &user, steps));
        Ok(())
    });
    ran.unwrap_or_else(|why| panic!("{why}"));
}

#[tokio::test]
async fn an_update_without_calls_changes_nothing_and_no_clock_sets_the_last_call_back() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let both = [store(&redis).await, store(&redis).await];
    let caller = caller("user-1");
    let publish = async |replica: usize, number, calls: Option<u32>, at| {
        let key = both[replica].caller_key("quota", "/route", &caller.issuer, &caller.user);
        let update = CounterUpdate {
            window: 1,
            number,
            calls,
            at,
            remember: Duration::from_secs(600),
        };
        let most = calls.map(|_| MAX);
        both[replica].count(&key, &update, most).await.unwrap()
    };
    let total = |all, own| CounterTotal {
        fits: true,
        all,
        own,
        last: 100,
    };
    assert_eq!(publish(0, 1, Some(2), 100).await, total(2, 2));
    assert_eq!(publish(1, 1, Some(1), 50).await, total(3, 1));
    for _ in 0..2 {
        assert_eq!(publish(0, 2, None, 200).await, total(3, 2));
    }
}

#[tokio::test]
async fn a_call_that_was_published_and_then_refused_is_taken_back_at_once() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let (clock, _) = clock();
    let caller = caller("user-1");
    let one = Replica::new(&store(&redis).await, &clock, &caller);
    let other = Replica::new(&store(&redis).await, &clock, &caller);
    for _ in 0..MAX {
        let mut call = other.account(&caller).reserve().await.ok().unwrap();
        call.begin();
    }
    // Reserved here and not asked for yet, but another request publishes it.
    let (early, _) = one.quota.hold(one.key).ok().unwrap();
    one.account(&caller).refresh().await;
    drop(early);
    assert!(one.account(&caller).reserve().await.is_err());
    assert_eq!(other.publish(&caller, &other.update(), None).await.all, MAX);
}
