//! The calls of other replicas, as one replica learns of them.

use std::sync::Barrier;

use super::*;
use crate::store::CounterTotal;

/// The replica learns of `all` calls, `own` of them its own; the last was made `ago` seconds ago.
fn learn(bench: &Bench, all: u32, own: u32, ago: u64) {
    let now = bench.time.lock().unwrap().utc.as_secs();
    let total = CounterTotal {
        fits: true,
        all,
        own,
        last: now - ago,
    };
    let update = bench.quota.update(ONE, None);
    bench.quota.learn(ONE, update.window, &total);
}

#[test]
fn calls_of_other_replicas_count_and_limit_a_replica_that_can_t_ask_them() {
    let bench = Bench::new(5, DAY);
    assert!(bench.call(ONE));
    learn(&bench, 3, 1, 0);
    assert_eq!((bench.left(ONE), bench.left(TWO)), (2, 5));
    assert!(bench.call(ONE) && bench.call(ONE) && !bench.call(ONE));
    assert_eq!(bench.left(ONE), 0);
    // Only the other replicas know whether there is room again.
    let (held, update) = bench.quota.hold(ONE).ok().unwrap();
    assert_eq!(update.calls, Some(4));
    learn(&bench, 4, 4, 0);
    assert!(held.without_replicas().is_ok());
    // They count in this window alone.
    learn(&bench, 5, 0, 0);
    bench.pass(DAY);
    assert_eq!(bench.left(ONE), 5);
}

#[test]
fn a_replica_s_own_calls_stay_within_the_quota_whatever_the_others_publish() {
    let bench = Bench::new(2, DAY);
    let held = [bench.quota.hold(ONE), bench.quota.hold(ONE)];
    assert!(held.iter().all(Result::is_ok));
    learn(&bench, 0, 0, 0);
    assert_eq!(bench.quota.hold(ONE).err(), Some(bench.quota.used_up()));
}

#[test]
fn of_reservations_that_do_not_fit_together_as_many_stay_as_there_is_room_for() {
    for _ in 0..50 {
        let bench = Bench::new(10, DAY);
        learn(&bench, 7, 0, 0);
        let (passed, all_hold) = (AtomicU32::new(0), Barrier::new(6));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let (held, _) = bench.quota.hold(ONE).ok().unwrap();
                    all_hold.wait();
                    if let Ok(mut call) = held.without_replicas() {
                        call.begin();
                        passed.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(passed.load(Ordering::SeqCst), 3);
        assert_eq!(bench.left(ONE), 0);
    }
}

#[test]
fn an_update_has_all_calls_and_is_remembered_for_one_more_window() {
    let bench = Bench::new(5, DAY);
    assert_eq!(bench.quota.update(ONE, None).calls, None);
    let (first, one) = bench.quota.hold(ONE).ok().unwrap();
    let (second, two) = bench.quota.hold(ONE).ok().unwrap();
    drop(first);
    let three = bench.quota.update(ONE, None);
    let updates = [&one, &two, &three].map(|update| (update.number > 0, update.calls));
    assert_eq!(updates, [1, 2, 1].map(|calls| (true, Some(calls))));
    assert!(one.number < two.number && two.number < three.number);
    assert_eq!(one.remember, Duration::from_secs(DAY / 2 + DAY));
    assert_eq!(bench.quota.update(TWO, None).calls, Some(0));
    // A window that is forgotten has nothing to publish and learns nothing.
    let window = one.window;
    bench.pass(3 * DAY);
    bench.quota.sweep();
    let total = CounterTotal {
        fits: true,
        all: 9,
        own: 1,
        last: 0,
    };
    bench.quota.learn(ONE, window, &total);
    assert_eq!(bench.quota.update(ONE, Some(window)).calls, None);
    drop(second);
}

#[test]
fn a_caller_who_called_another_replica_recently_may_be_retrying_here() {
    let bench = Bench::new(1, DAY);
    learn(&bench, 1, 0, 360);
    assert!(bench.quota.admit(ONE, CACHED).is_ok());
    assert!(bench.quota.admit(ONE, None).is_err());
    bench.pass(1);
    assert!(bench.quota.admit(ONE, CACHED).is_err());
    // Before this replica started, long ago.
    learn(&bench, 1, 0, 40_000);
    assert!(bench.quota.admit(ONE, CACHED).is_err());
    // The call was returned.
    learn(&bench, 0, 0, 0);
    assert!(bench.quota.admit(ONE, None).is_ok());
}

#[test]
fn a_caller_without_calls_takes_no_memory() {
    let bench = Bench::new(5, DAY);
    learn(&bench, 0, 0, 0);
    assert!(bench.quota.windows().is_empty());
    let held = bench.quota.hold(ONE).ok().unwrap();
    learn(&bench, 3, 1, 0);
    drop(held);
    assert_eq!(bench.entries(), 1);
    learn(&bench, 0, 0, 0);
    let held = bench.quota.hold(ONE).ok().unwrap();
    drop(held);
    assert_eq!(bench.entries(), 0);
}

#[test]
fn callers_with_a_shared_counter_get_the_highest_count_of_other_replicas() {
    let bench = Bench::with_room(5, DAY, 0);
    learn(&bench, 4, 0, 0);
    learn(&bench, 1, 0, 0);
    assert_eq!(bench.left(ONE), 1);
}
