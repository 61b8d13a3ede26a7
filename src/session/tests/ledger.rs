//! The ledger; where time counts, it is given.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::task::{JoinSet, yield_now};

use super::*;

const VIDEO: Fingerprint = Fingerprint([1; 16]);
const OTHER: Fingerprint = Fingerprint([2; 16]);

fn name(number: u64) -> SessionDigest {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    SessionDigest(bytes)
}

fn kept(text: &str) -> CachedResponse {
    CachedResponse {
        body: Bytes::copy_from_slice(text.as_bytes()),
        error_code: Some(0),
        serverlogid: None,
        reqid: None,
    }
}

fn later() -> Instant {
    Instant::now() + LIFETIME
}

async fn claim(
    ledger: &Arc<VerifyLedger>,
    number: u64,
    fingerprint: Fingerprint,
) -> Result<Claim, ClaimError> {
    ledger.claim(name(number), fingerprint, later()).await
}

async fn first(ledger: &Arc<VerifyLedger>, number: u64) -> VerifyLease {
    match claim(ledger, number, VIDEO).await {
        Ok(Claim::Acquired(turn)) => turn,
        Ok(Claim::Replayed(_)) => panic!("it was answered"),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

async fn refusal(
    ledger: &Arc<VerifyLedger>,
    number: u64,
    fingerprint: Fingerprint,
) -> Option<ClaimError> {
    claim(ledger, number, fingerprint).await.err()
}

async fn answer(ledger: &Arc<VerifyLedger>, number: u64) -> Option<Bytes> {
    match claim(ledger, number, VIDEO).await {
        Ok(Claim::Replayed(kept)) => Some(kept.body.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_the_same_upload_alone() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.answered(kept("{}"));
    for _ in 0..3 {
        assert_eq!(answer(&ledger, 1).await.unwrap(), "{}");
    }
    assert_eq!(refusal(&ledger, 1, OTHER).await, Some(ClaimError::Used));
    assert!(answer(&ledger, 2).await.is_none());
}

#[tokio::test]
async fn another_video_is_refused_while_one_is_under_way() {
    let ledger = VerifyLedger::new();
    let turn = first(&ledger, 1).await;
    assert_eq!(refusal(&ledger, 1, OTHER).await, Some(ClaimError::InUse));
    turn.not_sent();
    assert!(matches!(
        claim(&ledger, 1, OTHER).await,
        Ok(Claim::Acquired(_))
    ));
}

#[tokio::test]
async fn a_lost_call_is_never_made_again_and_a_forgotten_turn_is_a_lost_one() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.lost();
    drop(first(&ledger, 2).await);
    for number in [1, 2] {
        for fingerprint in [VIDEO, OTHER] {
            assert_eq!(
                refusal(&ledger, number, fingerprint).await,
                Some(ClaimError::OutcomeUnknown)
            );
        }
    }
}

/// Sends so many retries; each that becomes the first ends its turn as `end` says.
async fn crowd(
    ledger: &Arc<VerifyLedger>,
    size: usize,
    end: fn(usize, VerifyLease),
) -> (usize, Vec<Result<Bytes, ClaimError>>) {
    let turns = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        let (ledger, turns) = (Arc::clone(ledger), Arc::clone(&turns));
        crowd.spawn(async move {
            match claim(&ledger, 1, VIDEO).await {
                Ok(Claim::Acquired(turn)) => {
                    let number = turns.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                    end(number, turn);
                    Ok(Bytes::from_static(b"first"))
                }
                Ok(Claim::Replayed(kept)) => Ok(kept.body.clone()),
                Err(refusal) => Err(refusal),
            }
        });
    }
    let outcomes = crowd.join_all().await;
    (turns.load(Ordering::SeqCst), outcomes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_at_once_one_is_first_and_all_get_its_answer() {
    for _ in 0..20 {
        let (turns, outcomes) = crowd(&VerifyLedger::new(), 200, |_, turn| {
            drop(turn.answered(kept("answer")))
        })
        .await;
        assert_eq!(turns, 1);
        let told = outcomes
            .iter()
            .filter(|outcome| **outcome == Ok(Bytes::from_static(b"answer")));
        assert_eq!(told.count(), 199);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_wait_share_a_loss() {
    let (turns, outcomes) = crowd(&VerifyLedger::new(), 200, |_, turn| turn.lost()).await;
    let unknown = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(ClaimError::OutcomeUnknown));
    assert_eq!((turns, unknown.count()), (1, 199));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_nothing_was_sent_one_of_those_who_wait_is_first() {
    for _ in 0..20 {
        let (turns, outcomes) = crowd(&VerifyLedger::new(), 200, |number, turn| match number {
            0..=2 => turn.not_sent(),
            _ => drop(turn.answered(kept("answer"))),
        })
        .await;
        assert_eq!(turns, 4);
        let told = outcomes
            .iter()
            .filter(|outcome| **outcome == Ok(Bytes::from_static(b"answer")));
        assert_eq!(told.count(), 196);
    }
}

#[tokio::test]
async fn who_gives_up_waiting_takes_nothing_with_them() {
    let ledger = VerifyLedger::new();
    let turn = first(&ledger, 1).await;
    let waiting = Arc::clone(&ledger);
    let waiting = tokio::spawn(async move { answer(&waiting, 1).await });
    yield_now().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    turn.answered(kept("answer"));
    assert_eq!(answer(&ledger, 1).await.unwrap(), "answer");
}

#[tokio::test]
async fn a_session_is_remembered_longer_than_it_lives() {
    let ledger = VerifyLedger::new();
    let ends = later();
    first(&ledger, 1).await.answered(kept("answer"));
    first(&ledger, 2).await.not_sent();
    let late = |number| ledger.look(name(number), VIDEO, ends, ends);
    assert!(matches!(late(1), Ok(Looked::Here(Claim::Replayed(_)))));
    for number in [2, 3] {
        assert_eq!(late(number).err(), Some(ClaimError::Expired));
    }
    let mut pages = ledger.pages();
    pages.forget(ends + GRACE - Duration::from_secs(1));
    assert!(pages.sessions.len() == 2 && pages.kept > 0);
    pages.forget(ends + GRACE + Duration::from_secs(1));
    assert!(pages.sessions.is_empty() && pages.by_age.is_empty() && pages.answered.is_empty());
    assert_eq!(pages.kept, 0);
}

#[tokio::test]
async fn a_call_that_outlives_its_session_is_not_forgotten_under_way() {
    let ledger = VerifyLedger::new();
    let turn = first(&ledger, 1).await;
    ledger.pages().forget(later() + 3 * LIFETIME);
    assert_eq!(refusal(&ledger, 1, OTHER).await, Some(ClaimError::InUse));
    turn.answered(kept("answer"));
    ledger.pages().forget(later() + 9 * LIFETIME);
    assert!(ledger.pages().sessions.is_empty());
}

#[tokio::test]
async fn new_sessions_are_refused_when_there_is_no_room_and_old_ones_are_still_known() {
    let ledger = VerifyLedger::with_room(2, MOST_KEPT);
    first(&ledger, 1).await.lost();
    first(&ledger, 2).await.not_sent();
    assert_eq!(refusal(&ledger, 3, VIDEO).await, Some(ClaimError::Full));
    assert_eq!(
        refusal(&ledger, 1, VIDEO).await,
        Some(ClaimError::OutcomeUnknown)
    );
    first(&ledger, 2).await.answered(kept("answer"));
    assert!(answer(&ledger, 2).await.is_some());
    ledger.pages().forget(later() + 2 * GRACE);
    first(&ledger, 3).await.lost();
}

#[tokio::test]
async fn an_answer_that_is_let_go_leaves_its_session_used() {
    let size = kept("answer").size();
    let ledger = VerifyLedger::with_room(MOST_SESSIONS, 2 * size);
    for number in 1..=3 {
        first(&ledger, number).await.answered(kept("answer"));
    }
    assert_eq!(
        refusal(&ledger, 1, VIDEO).await,
        Some(ClaimError::OutcomeUnknown)
    );
    assert!(answer(&ledger, 2).await.is_some() && answer(&ledger, 3).await.is_some());
    assert_eq!(ledger.pages().kept, 2 * size);
}

#[derive(Clone, Debug)]
enum Step {
    Claim(u64, bool),
    Answer(usize),
    NotSent(usize),
    Lose(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..4_u64, any::<bool>()).prop_map(|(number, other)| Step::Claim(number, other)),
        2 => any::<usize>().prop_map(Step::Answer),
        2 => any::<usize>().prop_map(Step::NotSent),
        1 => any::<usize>().prop_map(Step::Lose),
        2 => (0..200_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens in whatever order: a session that may have reached Qiniu never gets a second turn in its life, no
    /// session has two turns at once, and no more is held than allowed.
    #[test]
    fn no_session_is_sent_twice(steps in proptest::collection::vec(step(), 1..80)) {
        let ledger = VerifyLedger::with_room(3, 1200);
        let ends = later();
        let mut now = Instant::now();
        let mut turns: Vec<(u64, VerifyLease)> = Vec::new();
        let mut spent = std::collections::HashSet::new();
        for step in steps {
            let mut take = |at: usize| (!turns.is_empty()).then(|| turns.swap_remove(at % turns.len()));
            match step {
                Step::Claim(number, other) => {
                    let fingerprint = if other { OTHER } else { VIDEO };
                    if let Ok(Looked::Here(Claim::Acquired(turn))) = ledger.look(name(number), fingerprint, ends, now) {
                        prop_assert!(!spent.contains(&number) && turns.iter().all(|(other, _)| *other != number));
                        turns.push((number, turn));
                    }
                }
                Step::Answer(at) => if let Some((number, turn)) = take(at) {
                    spent.insert(number);
                    turn.answered(kept(&"x".repeat(at % 500)));
                },
                Step::NotSent(at) => if let Some((_, turn)) = take(at) { turn.not_sent() },
                Step::Lose(at) => if let Some((number, turn)) = take(at) {
                    spent.insert(number);
                    turn.lost();
                },
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
            let pages = ledger.pages();
            prop_assert!(pages.sessions.len() <= 3 && pages.kept <= 1200);
            prop_assert_eq!(pages.by_age.len(), pages.sessions.len());
        }
    }
}
