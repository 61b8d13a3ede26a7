//! The ledger and its leases; where time matters, it is given.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::{
    session::keyring::LIFETIME,
    verify_once::lease::{Claim, VerifyLease, VerifyOutcome, acquire},
};

const VIDEO: Fingerprint = Fingerprint([1; 16]);
const OTHER: Fingerprint = Fingerprint([2; 16]);

fn digest(number: u64) -> SessionDigest {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    SessionDigest(bytes)
}

fn response(text: &str) -> CachedResponse {
    CachedResponse::new(text.as_bytes(), Some(0), None, None)
}

fn answered(text: &str) -> VerifyOutcome {
    VerifyOutcome::Answered(response(text))
}

fn later() -> Instant {
    Instant::now() + LIFETIME
}

async fn claim(
    ledger: &Arc<VerifyLedger>,
    number: u64,
    fingerprint: Fingerprint,
) -> Result<Claim, ClaimError> {
    acquire(ledger, None, digest(number), fingerprint, later(), &|| ()).await
}

async fn first(ledger: &Arc<VerifyLedger>, number: u64) -> VerifyLease {
    match claim(ledger, number, VIDEO).await {
        Ok(Claim::Acquired(lease)) => lease,
        Ok(Claim::Replayed(_)) => panic!("it was answered"),
        Err(error) => panic!("{error:?}"),
    }
}

async fn error(
    ledger: &Arc<VerifyLedger>,
    number: u64,
    fingerprint: Fingerprint,
) -> Option<ClaimError> {
    claim(ledger, number, fingerprint).await.err()
}

async fn replayed(ledger: &Arc<VerifyLedger>, number: u64) -> Option<Bytes> {
    match claim(ledger, number, VIDEO).await {
        Ok(Claim::Replayed(response)) => Some(response.body.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_response_is_replayed_for_the_same_upload_alone() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.settle(answered("{}")).await;
    for _ in 0..3 {
        assert_eq!(replayed(&ledger, 1).await.unwrap(), "{}");
    }
    assert_eq!(error(&ledger, 1, OTHER).await, Some(ClaimError::Used));
    assert!(replayed(&ledger, 2).await.is_none());
}

#[tokio::test]
async fn another_video_is_refused_while_one_is_in_progress() {
    let ledger = VerifyLedger::new();
    let lease = first(&ledger, 1).await;
    assert_eq!(error(&ledger, 1, OTHER).await, Some(ClaimError::InUse));
    lease.settle(VerifyOutcome::NotTaken).await;
    assert!(matches!(
        claim(&ledger, 1, OTHER).await,
        Ok(Claim::Acquired(_))
    ));
}

#[tokio::test]
async fn a_call_with_unknown_outcome_is_never_repeated_and_a_dropped_lease_is_one() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.settle(VerifyOutcome::Unknown).await;
    drop(first(&ledger, 2).await);
    for number in [1, 2] {
        for fingerprint in [VIDEO, OTHER] {
            assert_eq!(
                error(&ledger, number, fingerprint).await,
                Some(ClaimError::OutcomeUnknown)
            );
        }
    }
}

/// Sends `size` retries at once; each that acquires the lease settles it with `outcome`.
async fn crowd(
    ledger: &Arc<VerifyLedger>,
    size: usize,
    outcome: fn(usize) -> VerifyOutcome,
) -> (usize, Vec<Result<Bytes, ClaimError>>) {
    let leases = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        let (ledger, leases) = (Arc::clone(ledger), Arc::clone(&leases));
        crowd.spawn(async move {
            match claim(&ledger, 1, VIDEO).await {
                Ok(Claim::Acquired(lease)) => {
                    let number = leases.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                    lease.settle(outcome(number)).await;
                    Ok(Bytes::from_static(b"first"))
                }
                Ok(Claim::Replayed(response)) => Ok(response.body.clone()),
                Err(error) => Err(error),
            }
        });
    }
    let results = crowd.join_all().await;
    (leases.load(Ordering::SeqCst), results)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_concurrent_uploads_one_calls_and_all_get_its_response() {
    for _ in 0..20 {
        let ledger = VerifyLedger::new();
        let (leases, results) = crowd(&ledger, 200, |_| answered("answer")).await;
        assert_eq!(leases, 1);
        let replayed = results
            .iter()
            .filter(|result| **result == Ok(Bytes::from_static(b"answer")));
        assert_eq!(replayed.count(), 199);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_that_wait_share_an_unknown_outcome() {
    let (leases, results) = crowd(&VerifyLedger::new(), 200, |_| VerifyOutcome::Unknown).await;
    let unknown = results
        .iter()
        .filter(|result| **result == Err(ClaimError::OutcomeUnknown));
    assert_eq!((leases, unknown.count()), (1, 199));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_nothing_was_sent_one_of_the_uploads_that_wait_acquires_the_lease() {
    for _ in 0..20 {
        let ledger = VerifyLedger::new();
        let (leases, results) = crowd(&ledger, 200, |number| match number {
            0..=2 => VerifyOutcome::NotTaken,
            _ => answered("answer"),
        })
        .await;
        assert_eq!(leases, 4);
        let replayed = results
            .iter()
            .filter(|result| **result == Ok(Bytes::from_static(b"answer")));
        assert_eq!(replayed.count(), 196);
    }
}

#[tokio::test]
async fn an_upload_that_stops_waiting_changes_nothing() {
    let ledger = VerifyLedger::new();
    let lease = first(&ledger, 1).await;
    let waiting = Arc::clone(&ledger);
    let waiting = tokio::spawn(async move { replayed(&waiting, 1).await });
    yield_now().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    lease.settle(answered("answer")).await;
    assert_eq!(replayed(&ledger, 1).await.unwrap(), "answer");
}

#[tokio::test]
async fn a_session_is_remembered_longer_than_its_lifetime() {
    let ledger = VerifyLedger::new();
    let ends = later();
    first(&ledger, 1).await.settle(answered("answer")).await;
    first(&ledger, 2)
        .await
        .settle(VerifyOutcome::NotTaken)
        .await;
    let late = |number| ledger.look_up(digest(number), VIDEO, ends, ends);
    assert!(matches!(late(1), Ok(Lookup::Answered(_))));
    for number in [2, 3] {
        assert_eq!(late(number).err(), Some(ClaimError::Expired));
    }
    let mut sessions = ledger.lock();
    sessions.forget(ends + CLOCK_GRACE - Duration::from_secs(1));
    assert!(sessions.by_digest.len() == 2 && sessions.cached > 0);
    sessions.forget(ends + CLOCK_GRACE + Duration::from_secs(1));
    assert!(sessions.by_digest.is_empty() && sessions.by_age.is_empty());
    assert!(sessions.answered.is_empty());
    assert_eq!(sessions.cached, 0);
}

#[tokio::test]
async fn a_call_that_outlives_its_session_is_not_forgotten_while_in_progress() {
    let ledger = VerifyLedger::new();
    let lease = first(&ledger, 1).await;
    ledger.lock().forget(later() + 3 * LIFETIME);
    assert_eq!(error(&ledger, 1, OTHER).await, Some(ClaimError::InUse));
    lease.settle(answered("answer")).await;
    ledger.lock().forget(later() + 9 * LIFETIME);
    assert!(ledger.lock().by_digest.is_empty());
}

#[tokio::test]
async fn a_full_ledger_refuses_new_sessions_and_still_serves_known_ones() {
    let ledger = VerifyLedger::with_capacity(2, MAX_CACHED);
    first(&ledger, 1).await.settle(VerifyOutcome::Unknown).await;
    first(&ledger, 2)
        .await
        .settle(VerifyOutcome::NotTaken)
        .await;
    assert_eq!(error(&ledger, 3, VIDEO).await, Some(ClaimError::Full));
    assert_eq!(
        error(&ledger, 1, VIDEO).await,
        Some(ClaimError::OutcomeUnknown)
    );
    first(&ledger, 2).await.settle(answered("answer")).await;
    assert!(replayed(&ledger, 2).await.is_some());
    ledger.lock().forget(later() + 2 * CLOCK_GRACE);
    first(&ledger, 3).await.settle(VerifyOutcome::Unknown).await;
}

#[tokio::test]
async fn a_session_whose_response_is_evicted_stays_used() {
    let size = response("answer").size();
    let ledger = VerifyLedger::with_capacity(MAX_SESSIONS, 2 * size);
    for number in 1..=3 {
        first(&ledger, number)
            .await
            .settle(answered("answer"))
            .await;
    }
    assert_eq!(
        error(&ledger, 1, VIDEO).await,
        Some(ClaimError::OutcomeUnknown)
    );
    assert!(replayed(&ledger, 2).await.is_some() && replayed(&ledger, 3).await.is_some());
    assert_eq!(ledger.lock().cached, 2 * size);
}

#[derive(Clone, Debug)]
enum Step {
    Claim(u64, bool),
    Answer(usize),
    NotTaken(usize),
    Lose(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..4_u64, any::<bool>()).prop_map(|(number, other)| Step::Claim(number, other)),
        2 => any::<usize>().prop_map(Step::Answer),
        2 => any::<usize>().prop_map(Step::NotTaken),
        1 => any::<usize>().prop_map(Step::Lose),
        2 => (0..200_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens in whatever order: a session that may have reached Qiniu never gets a
    /// second lease in its lifetime, no session has two leases at once, and memory stays bounded.
    #[test]
    fn no_session_is_sent_twice(steps in proptest::collection::vec(step(), 1..80)) {
        let ledger = VerifyLedger::with_capacity(3, 1200);
        let ends = later();
        let mut now = Instant::now();
        let mut leases: Vec<u64> = Vec::new();
        let mut spent = HashSet::new();
        for step in steps {
            let mut take =
                |at: usize| (!leases.is_empty()).then(|| leases.swap_remove(at % leases.len()));
            match step {
                Step::Claim(number, other) => {
                    let upload = if other { OTHER } else { VIDEO };
                    let found = ledger.look_up(digest(number), upload, ends, now);
                    if let Ok(Lookup::Acquired { .. }) = found {
                        prop_assert!(!spent.contains(&number) && !leases.contains(&number));
                        leases.push(number);
                    }
                }
                Step::Answer(at) => if let Some(number) = take(at) {
                    spent.insert(number);
                    let response = Arc::new(response(&"x".repeat(at % 500)));
                    ledger.end(digest(number), SessionState::Answered(response));
                },
                Step::NotTaken(at) => if let Some(number) = take(at) {
                    ledger.end(digest(number), SessionState::Free);
                },
                Step::Lose(at) => if let Some(number) = take(at) {
                    spent.insert(number);
                    ledger.end(digest(number), SessionState::Unknown);
                },
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
            let sessions = ledger.lock();
            prop_assert!(sessions.by_digest.len() <= 3 && sessions.cached <= 1200);
            prop_assert_eq!(sessions.by_age.len(), sessions.by_digest.len());
        }
    }
}
