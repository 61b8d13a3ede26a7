//! Quotas, by a clock that the test sets.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use proptest::prelude::*;

use super::{windows::MAX_WINDOWS, *};

mod elsewhere;

const DAY: u64 = 86_400;
/// Noon of some day.
const NOON: u64 = 20_000 * DAY + DAY / 2;
const CACHED: Option<Duration> = Some(Duration::from_secs(360));
const ONE: CallerKey = CallerKey(1 << 40);
const TWO: CallerKey = CallerKey(1 << 41);

/// A quota and its clock.
struct Bench {
    quota: Arc<Quota>,
    time: Arc<Mutex<Moment>>,
}

impl Bench {
    fn new(count: u32, seconds: u64) -> Self {
        Self::with_room(count, seconds, MAX_CALLERS)
    }

    fn with_room(count: u32, seconds: u64, max_callers: usize) -> Self {
        let time = Arc::new(Mutex::new(Moment {
            utc: Duration::from_secs(NOON),
            steady: Instant::now(),
        }));
        let clock_time = Arc::clone(&time);
        let rate = Rate {
            count: NonZeroU32::new(count).unwrap(),
            per: Duration::from_secs(seconds),
        };
        let clock = Clock::new(move || *clock_time.lock().unwrap());
        Self {
            quota: Quota::with_room(rate, clock, max_callers),
            time,
        }
    }

    /// Advances both clocks.
    fn pass(&self, seconds: u64) {
        let mut time = self.time.lock().unwrap();
        time.utc += Duration::from_secs(seconds);
        time.steady += Duration::from_secs(seconds);
    }

    /// Sets the clock of the windows.
    fn set(&self, utc: u64) {
        self.time.lock().unwrap().utc = Duration::from_secs(utc);
    }

    /// Reserves a call as a replica without a store does.
    fn reserve(&self, caller: CallerKey) -> Result<Reservation, LimitExceeded> {
        reserve(&self.quota, caller)
    }

    /// Makes a call, and returns whether it was allowed.
    fn call(&self, caller: CallerKey) -> bool {
        let reserved = self.reserve(caller);
        reserved.map(|mut call| call.begin()).is_ok()
    }

    fn left(&self, caller: CallerKey) -> u32 {
        self.quota.status(caller).remaining
    }

    fn entries(&self) -> usize {
        self.quota
            .windows()
            .values()
            .map(|it| it.counts.len())
            .sum()
    }
}

fn reserve(quota: &Arc<Quota>, caller: CallerKey) -> Result<Reservation, LimitExceeded> {
    let (call, _) = quota.hold(caller)?;
    call.without_replicas()
}

#[test]
fn each_caller_has_so_many_calls_until_the_window_ends_at_midnight_utc() {
    let bench = Bench::new(2, DAY);
    let status = |remaining, reset| RateLimitStatus {
        quota: 2,
        window: DAY,
        remaining,
        reset,
    };
    assert_eq!(bench.quota.status(ONE), status(2, DAY / 2));
    assert!(bench.call(ONE) && bench.call(ONE));
    bench.pass(DAY / 2 - 3);
    bench.time.lock().unwrap().utc += Duration::from_millis(1);
    let exceeded = bench.reserve(ONE).err().unwrap();
    assert_eq!(exceeded.status, status(0, 3));
    assert_eq!(exceeded.retry_after, Duration::from_millis(2999));
    assert!(bench.call(TWO));
    bench.pass(3);
    assert_eq!(bench.quota.status(ONE), status(2, DAY));
    assert!(bench.call(ONE) && bench.call(ONE) && !bench.call(ONE));
}

#[test]
fn every_unit_has_windows_of_its_own_length() {
    for seconds in [1, 60, 3600, DAY] {
        let bench = Bench::new(1, seconds);
        bench.set(NOON - NOON % DAY + seconds - 1);
        assert!(bench.call(ONE) && !bench.call(ONE), "{seconds}");
        assert_eq!(bench.quota.status(ONE).reset, 1);
        bench.pass(1);
        assert!(bench.call(ONE) && !bench.call(ONE), "{seconds}");
    }
}

#[test]
fn a_call_that_never_began_or_was_not_taken_is_returned() {
    let bench = Bench::new(1, DAY);
    let waits = bench.reserve(ONE).unwrap();
    assert!(!bench.call(ONE));
    drop(waits);
    let mut refused = bench.reserve(ONE).unwrap();
    refused.begin();
    refused.give_back();
    assert_eq!((bench.left(ONE), bench.entries()), (1, 0));
    // Dropped during the call, as by a panic: Qiniu may have taken it.
    let lost = bench.reserve(ONE).map(|mut call| call.begin());
    assert!(lost.is_ok());
    assert_eq!(bench.left(ONE), 0);
}

#[test]
fn a_call_is_returned_to_its_own_window_alone() {
    let bench = Bench::new(2, DAY);
    let late = bench.reserve(ONE).unwrap();
    bench.pass(DAY);
    assert!(bench.call(ONE) && bench.call(ONE));
    drop(late);
    assert_eq!(bench.left(ONE), 0);
    // A window that is forgotten takes nothing back.
    let never = bench.reserve(TWO).unwrap();
    bench.pass(3 * DAY);
    bench.quota.sweep();
    assert!(bench.call(TWO));
    drop(never);
    assert_eq!(bench.left(TWO), 1);
}

#[test]
fn a_clock_that_jumps_neither_loses_nor_doubles_a_count() {
    let bench = Bench::new(3, DAY);
    assert!(bench.call(ONE) && bench.call(ONE));
    for jump in [NOON + DAY, NOON - DAY, 0, NOON + DAY] {
        bench.set(jump);
        bench.quota.sweep();
        bench.pass(3600);
        bench.set(NOON + 4 * 3600);
        bench.quota.sweep();
        assert_eq!(bench.left(ONE), 1, "{jump}");
    }
    assert!(bench.call(ONE) && !bench.call(ONE));
    // Calls that were counted for tomorrow by mistake count when it comes.
    bench.set(NOON + DAY);
    assert!(bench.call(ONE) && bench.call(ONE));
    bench.set(NOON);
    bench.quota.sweep();
    assert_eq!(bench.left(ONE), 0);
    bench.pass(DAY / 2);
    bench.quota.sweep();
    assert_eq!(bench.left(ONE), 1);
}

#[test]
fn a_clock_that_jumps_wildly_takes_bounded_memory() {
    let bench = Bench::new(1, 1);
    for at in 0..1000 {
        bench.set(at * 7919);
        bench.call(ONE);
        assert!(bench.quota.windows().len() <= MAX_WINDOWS);
    }
}

#[test]
fn concurrent_calls_never_exceed_the_quota() {
    let bench = Bench::new(50, DAY);
    let (made, most) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (quota, made, most) = (&bench.quota, &made, &most);
            scope.spawn(move || {
                for round in 0..400 {
                    let Ok(mut call) = reserve(quota, ONE) else {
                        continue;
                    };
                    call.begin();
                    most.fetch_max(made.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if (round + thread) % 8 != 0 {
                        made.fetch_sub(1, Ordering::SeqCst);
                        call.give_back();
                    }
                }
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 50);
    assert!(most.load(Ordering::SeqCst) <= 50);
    assert_eq!(bench.left(ONE), 0);
}

#[test]
fn new_callers_beyond_the_maximum_share_counters_and_the_others_keep_theirs() {
    let bench = Bench::with_room(2, DAY, 100);
    for caller in 0..100 {
        assert!(bench.call(CallerKey(SHARED + caller)));
    }
    let newcomer = |number: u64| CallerKey((7 << 32) + number);
    for number in 0..10 * SHARED {
        let _ = bench.call(newcomer(number));
    }
    assert!(bench.entries() <= 100 + usize::try_from(SHARED).unwrap());
    assert_eq!(bench.left(newcomer(10 * SHARED + 5)), 0);
    assert_eq!(bench.left(CallerKey(SHARED + 99)), 1);
    bench.pass(DAY);
    assert_eq!(bench.left(newcomer(5)), 2);
}

#[test]
fn windows_that_are_over_are_forgotten() {
    let bench = Bench::new(5, 60);
    for caller in 0..1000 {
        assert!(bench.call(CallerKey(caller)));
    }
    bench.pass(59);
    bench.quota.sweep();
    assert_eq!(bench.entries(), 1000);
    bench.pass(61);
    bench.quota.sweep();
    assert!(bench.quota.windows().is_empty());
}

#[test]
fn a_caller_over_quota_is_rejected_before_the_body_unless_it_may_be_a_retry() {
    let bench = Bench::new(1, DAY);
    assert!(bench.quota.admit(ONE, None).is_ok());
    let mut call = bench.reserve(ONE).unwrap();
    call.begin();
    // The call takes long.
    bench.pass(3600);
    assert!(bench.quota.admit(ONE, CACHED).is_ok());
    assert!(bench.quota.admit(ONE, None).is_err());
    drop(call);
    bench.pass(360);
    assert!(bench.quota.admit(ONE, CACHED).is_ok());
    bench.pass(1);
    let exceeded = bench.quota.admit(ONE, CACHED).unwrap_err();
    assert_eq!(exceeded.status, bench.quota.status(ONE));
    assert!(bench.quota.admit(TWO, CACHED).is_ok());
}

#[test]
fn a_retry_of_yesterday_s_call_is_admitted_although_today_is_used_up() {
    let bench = Bench::new(1, DAY);
    bench.set(NOON + DAY / 2 - 1);
    let mut yesterday = bench.reserve(ONE).unwrap();
    yesterday.begin();
    bench.pass(2);
    assert!(bench.call(ONE));
    bench.pass(361);
    assert!(bench.quota.admit(ONE, CACHED).is_ok());
    drop(yesterday);
    bench.pass(361);
    assert!(bench.quota.admit(ONE, CACHED).is_err());
}

proptest! {
    /// Compares with a plain list of the calls in each window.
    #[test]
    fn whatever_happens_each_window_holds_the_calls_made_in_it(
        steps in prop::collection::vec((0..4_u8, 0..3_u64, 0..5_usize), 1..200),
    ) {
        let bench = Bench::new(3, DAY);
        let mut used: HashMap<u64, u32> = HashMap::new();
        let mut held: Vec<(u64, Reservation)> = Vec::new();
        let mut window = NOON / DAY;
        for (what, day, which) in steps {
            let count = used.entry(window).or_default();
            match what {
                0 => {
                    window = NOON / DAY + day;
                    bench.set(window * DAY);
                }
                1 => match bench.reserve(ONE) {
                    Ok(call) => {
                        *count += 1;
                        held.push((window, call));
                    }
                    Err(_) => prop_assert_eq!(*count, 3),
                },
                _ if which < held.len() => {
                    let (of, mut call) = held.swap_remove(which);
                    if what == 2 {
                        call.begin();
                    } else {
                        *used.get_mut(&of).unwrap() -= 1;
                    }
                }
                _ => bench.quota.sweep(),
            }
            let count = used.get(&window).copied().unwrap_or_default();
            prop_assert!(count <= 3);
            prop_assert_eq!(bench.left(ONE), 3 - count);
        }
    }
}
