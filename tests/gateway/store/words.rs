//! The script that counts quotas, in whatever order it hears things.

use std::{cell::Cell, num::NonZeroU32, sync::Arc, time::Duration};

use liveness_gateway::{
    auth::Caller,
    limit::{
        CallerKey, CallerKeys,
        clock::Clock,
        quota::{Quota, Reservation, shared::CallerQuota},
    },
    route::Rate,
    store::{CounterTotal, CounterUpdate, NamesSeal, Store},
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

const MOST: u32 = 4;

/// One replica's count, and what it has not told yet.
struct Replica {
    store: Arc<Store>,
    quota: Arc<Quota>,
    key: CallerKey,
    asked: Vec<(Reservation, CounterUpdate)>,
    granted: Vec<Reservation>,
    words: Vec<CounterUpdate>,
}

/// A replica's part of the store, which is there.
pub(crate) async fn store(redis: &Redis) -> Arc<Store> {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let settings = configured(nowhere, &redis.url(), "timeout = \"5s\"", &routes());
    let seal = NamesSeal::of(b"of all replicas").unwrap();
    let metrics = Metrics::new(LogWriter::capture().0);
    let store = Store::new(settings.store.unwrap(), vec![seal], &metrics).unwrap();
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
        pseudonym: "".into(),
    }
}

impl Replica {
    fn new(store: &Arc<Store>, clock: &Clock, caller: &Caller) -> Self {
        let rate = Rate {
            count: NonZeroU32::new(MOST).unwrap(),
            per: Duration::from_secs(86_400),
        };
        Self {
            store: Arc::clone(store),
            quota: Quota::new(rate, clock.clone()),
            key: CallerKeys::default().of(caller),
            asked: Vec::new(),
            granted: Vec::new(),
            words: Vec::new(),
        }
    }

    fn account(&self, caller: &Caller) -> CallerQuota {
        CallerQuota::new(&self.quota, self.key, Some(&self.store), "/route", caller)
    }

    async fn tell(&self, caller: &Caller, word: &CounterUpdate, most: Option<u32>) -> CounterTotal {
        let name = self.store.name("quota", "/route", caller).unwrap();
        let tally = self.store.count(&name, word, most).await.unwrap();
        self.quota.hear(self.key, word.window, &tally);
        tally
    }

    fn word(&self) -> CounterUpdate {
        self.quota.word(self.key, None)
    }

    /// One of the calls that are asked for is heard of.
    async fn ask(&mut self, caller: &Caller, which: usize) {
        let (mut call, word) = self.asked.swap_remove(which % self.asked.len());
        let tally = self.tell(caller, &word, Some(MOST)).await;
        if tally.fits {
            call.begin();
            self.granted.push(call);
        } else {
            drop(call);
            self.words.push(self.word());
        }
    }

    async fn step(&mut self, caller: &Caller, what: u8, which: usize) {
        match what {
            0 | 1 => self.asked.extend(self.quota.hold(self.key).ok()),
            2 | 3 if !self.asked.is_empty() => self.ask(caller, which).await,
            4 if !self.granted.is_empty() => {
                let call = self.granted.swap_remove(which % self.granted.len());
                call.give_back();
                self.words.push(self.word());
            }
            5 if !self.words.is_empty() => {
                let word = self.words.swap_remove(which % self.words.len());
                self.tell(caller, &word, None).await;
            }
            _ => self.words.push(self.word()),
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
        assert!(granted(&both) <= usize::try_from(MOST).unwrap());
    }
    for replica in &mut both {
        while !replica.asked.is_empty() {
            replica.ask(&caller, 0).await;
        }
        for word in replica.words.split_off(0) {
            replica.tell(&caller, &word, None).await;
        }
    }
    assert!(granted(&both) <= usize::try_from(MOST).unwrap());
    for replica in &both {
        replica.tell(&caller, &replica.word(), None).await;
    }
    // In the end all know what there is.
    for replica in &both {
        let tally = replica.tell(&caller, &replica.word(), None).await;
        assert_eq!(usize::try_from(tally.all).unwrap(), granted(&both));
        let left = replica.quota.standing(replica.key).remaining;
        assert_eq!(left, MOST - tally.all);
    }
}

#[test]
fn in_whatever_order_words_come_the_quota_holds_and_all_is_known_in_the_end() {
    if !redis::is_there() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = runtime.block_on(Redis::start());
    let stores = runtime.block_on(async { [store(&redis).await, store(&redis).await] });
    let steps = prop::collection::vec((0..2_usize, 0..7_u8, 0..8_usize), 1..60);
    let mut runner = TestRunner::new(Config::with_cases(200));
    // A user for each, so that one Redis does.
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
async fn who_only_asks_changes_nothing_and_no_clock_makes_the_last_call_an_earlier_one() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let both = [store(&redis).await, store(&redis).await];
    let caller = caller("user-1");
    let told = async |replica: usize, number, calls: Option<u32>, at| {
        let name = both[replica].name("quota", "/route", &caller).unwrap();
        let word = CounterUpdate {
            window: 1,
            number,
            calls,
            at,
            remember: Duration::from_secs(600),
        };
        let most = calls.map(|_| MOST);
        both[replica].count(&name, &word, most).await.unwrap()
    };
    let tally = |all, own| CounterTotal {
        fits: true,
        all,
        own,
        last: 100,
    };
    assert_eq!(told(0, 1, Some(2), 100).await, tally(2, 2));
    assert_eq!(told(1, 1, Some(1), 50).await, tally(3, 1));
    for _ in 0..2 {
        assert_eq!(told(0, 2, None, 200).await, tally(3, 2));
    }
}

#[tokio::test]
async fn a_call_that_was_told_of_and_then_refused_is_taken_back_at_once() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let (clock, _) = clock();
    let caller = caller("user-1");
    let one = Replica::new(&store(&redis).await, &clock, &caller);
    let other = Replica::new(&store(&redis).await, &clock, &caller);
    for _ in 0..MOST {
        let mut call = other.account(&caller).reserve().await.ok().unwrap();
        call.begin();
    }
    // Reserved here and not asked for yet, but another request's look speaks of it.
    let (early, _) = one.quota.hold(one.key).ok().unwrap();
    one.account(&caller).look().await;
    drop(early);
    assert!(one.account(&caller).reserve().await.is_err());
    assert_eq!(other.tell(&caller, &other.word(), None).await.all, MOST);
}
