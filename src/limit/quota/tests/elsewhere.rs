//! What other replicas counted, as one of them hears it.

use std::sync::Barrier;

use super::*;
use crate::store::CounterTotal;

/// Of so many calls, so many are this replica's; the last one was made so long ago.
fn hear(bench: &Bench, all: u32, own: u32, ago: u64) {
    let now = bench.time.lock().unwrap().utc.as_secs();
    let total = CounterTotal {
        fits: true,
        all,
        own,
        last: now - ago,
    };
    let word = bench.quota.update(ONE, None);
    bench.quota.learn(ONE, word.window, &total);
}

#[test]
fn what_others_made_is_not_left_and_bounds_who_is_alone() {
    let bench = Bench::new(5, DAY);
    assert!(bench.call(ONE));
    hear(&bench, 3, 1, 0);
    assert_eq!((bench.left(ONE), bench.left(TWO)), (2, 5));
    assert!(bench.call(ONE) && bench.call(ONE) && !bench.call(ONE));
    assert_eq!(bench.left(ONE), 0);
    // Only the others can say whether there is room again.
    let (held, word) = bench.quota.hold(ONE).ok().unwrap();
    assert_eq!(word.calls, Some(4));
    hear(&bench, 4, 4, 0);
    assert!(held.without_replicas().is_ok());
    // They are of this window alone.
    hear(&bench, 5, 0, 0);
    bench.pass(DAY);
    assert_eq!(bench.left(ONE), 5);
}

#[test]
fn whatever_others_say_a_replica_s_own_calls_stay_within_the_quota() {
    let bench = Bench::new(2, DAY);
    let held = [bench.quota.hold(ONE), bench.quota.hold(ONE)];
    assert!(held.iter().all(Result::is_ok));
    hear(&bench, 0, 0, 0);
    assert_eq!(bench.quota.hold(ONE).err(), Some(bench.quota.used_up()));
}

#[test]
fn of_those_that_do_not_fit_together_as_many_pass_as_there_is_room_for() {
    for _ in 0..50 {
        let bench = Bench::new(10, DAY);
        hear(&bench, 7, 0, 0);
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
fn a_word_speaks_of_all_calls_and_is_of_use_for_a_window_more() {
    let bench = Bench::new(5, DAY);
    assert_eq!(bench.quota.update(ONE, None).calls, None);
    let (first, one) = bench.quota.hold(ONE).ok().unwrap();
    let (second, two) = bench.quota.hold(ONE).ok().unwrap();
    drop(first);
    let three = bench.quota.update(ONE, None);
    let said = [&one, &two, &three].map(|word| (word.number > 0, word.calls));
    assert_eq!(said, [1, 2, 1].map(|calls| (true, Some(calls))));
    assert!(one.number < two.number && two.number < three.number);
    assert_eq!(one.remember, Duration::from_secs(DAY / 2 + DAY));
    assert_eq!(bench.quota.update(TWO, None).calls, Some(0));
    // Of a window that is forgotten there is nothing to tell, and nothing to hear.
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
fn who_called_elsewhere_of_late_may_be_asking_again_here() {
    let bench = Bench::new(1, DAY);
    hear(&bench, 1, 0, 360);
    assert!(bench.quota.admit(ONE, CACHED).is_ok());
    assert!(bench.quota.admit(ONE, None).is_err());
    bench.pass(1);
    assert!(bench.quota.admit(ONE, CACHED).is_err());
    // Before this replica started, and long ago.
    hear(&bench, 1, 0, 40_000);
    assert!(bench.quota.admit(ONE, CACHED).is_err());
    // It was given back.
    hear(&bench, 0, 0, 0);
    assert!(bench.quota.admit(ONE, None).is_ok());
}

#[test]
fn who_never_called_takes_no_memory() {
    let bench = Bench::new(5, DAY);
    hear(&bench, 0, 0, 0);
    assert!(bench.quota.windows().is_empty());
    let held = bench.quota.hold(ONE).ok().unwrap();
    hear(&bench, 3, 1, 0);
    drop(held);
    assert_eq!(bench.entries(), 1);
    hear(&bench, 0, 0, 0);
    let held = bench.quota.hold(ONE).ok().unwrap();
    drop(held);
    assert_eq!(bench.entries(), 0);
}

#[test]
fn of_those_who_share_a_counter_the_most_counts() {
    let bench = Bench::with_room(5, DAY, 0);
    hear(&bench, 4, 0, 0);
    hear(&bench, 1, 0, 0);
    assert_eq!(bench.left(ONE), 1);
}
