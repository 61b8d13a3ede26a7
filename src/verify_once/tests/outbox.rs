//! What other replicas are to know, without a store.

use super::*;
use crate::{
    session::{
        keyring::LIFETIME,
        seal::{DerivedKeys, SealKey},
    },
    verify_once::lease::{Claim, VerifyLease, VerifyOutcome, acquire},
};

const VIDEO: Fingerprint = Fingerprint([1; 16]);

fn digest(number: u8) -> SessionDigest {
    SessionDigest([number; 16])
}

async fn first(ledger: &Arc<VerifyLedger>, number: u8) -> VerifyLease {
    let ends = Instant::now() + LIFETIME;
    let claim = acquire(ledger, None, digest(number), VIDEO, ends, &|| ()).await;
    let Ok(Claim::Acquired(lease)) = claim else {
        panic!("not the first");
    };
    lease.set_publication(Publication {
        lease: u64::from(number),
        keys: Arc::new(DerivedKeys::derive(&SealKey::random().unwrap()).unwrap()),
        ends,
        granted: true,
        published: false,
    });
    lease
}

/// The lease has not been granted: the other replicas are still being asked.
fn only_asks(ledger: &VerifyLedger, lease: &VerifyLease, number: u8) {
    lease.set_publication(Publication {
        granted: false,
        ..ledger.update(digest(number)).unwrap().publication
    });
}

fn answered() -> VerifyOutcome {
    VerifyOutcome::Answered(CachedResponse::new(b"{}", None, None, None))
}

fn next(ledger: &VerifyLedger) -> Option<(u8, SessionUpdate)> {
    let update = ledger.next_update()?;
    Some((update.digest.to_bytes()[0], update))
}

#[tokio::test]
async fn what_ended_is_published_once_and_in_its_order() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.settle(VerifyOutcome::Unknown).await;
    first(&ledger, 2).await.settle(answered()).await;
    first(&ledger, 3)
        .await
        .settle(VerifyOutcome::NotTaken)
        .await;
    let in_progress = first(&ledger, 4).await;
    let (number, update) = next(&ledger).unwrap();
    assert!(number == 1 && matches!(update.state, UpdateState::Unknown));
    ledger.requeue(&update);
    let (number, update) = next(&ledger).unwrap();
    assert_eq!(number, 1);
    ledger.mark_sent(&update);
    let (number, update) = next(&ledger).unwrap();
    assert!(number == 2 && matches!(update.state, UpdateState::Answered(_)));
    ledger.mark_sent(&update);
    let (number, update) = next(&ledger).unwrap();
    assert!(number == 3 && matches!(update.state, UpdateState::Free));
    ledger.mark_sent(&update);
    assert!(next(&ledger).is_none());
    in_progress.settle(VerifyOutcome::Unknown).await;
    assert_eq!(next(&ledger).unwrap().0, 4);
}

#[tokio::test]
async fn everything_still_of_use_is_published_to_a_store_that_comes_back() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.settle(VerifyOutcome::Unknown).await;
    first(&ledger, 2).await.settle(answered()).await;
    first(&ledger, 3)
        .await
        .settle(VerifyOutcome::NotTaken)
        .await;
    let in_progress = first(&ledger, 4).await;
    for _ in 0..2 {
        while let Some((_, update)) = next(&ledger) {
            ledger.mark_sent(&update);
        }
        ledger.queue_all();
        let mut updates: Vec<_> = std::iter::from_fn(|| next(&ledger)).collect();
        updates.sort_by_key(|(number, _)| *number);
        let states = updates
            .iter()
            .map(|(number, update)| (number, &update.state));
        let states: Vec<_> = states.collect();
        assert!(matches!(
            states.as_slice(),
            [(1, _), (2, _), (4, UpdateState::InProgress)]
        ));
        for (_, update) in &updates {
            ledger.mark_sent(update);
        }
    }
    in_progress.settle(VerifyOutcome::Unknown).await;
}

#[tokio::test]
async fn a_change_during_a_publication_stays_unpublished() {
    let ledger = VerifyLedger::new();
    let lease = first(&ledger, 1).await;
    let old = ledger.update(digest(1)).unwrap();
    lease.settle(VerifyOutcome::Unknown).await;
    ledger.mark_sent(&old);
    let update = ledger.update(digest(1)).unwrap();
    assert!(matches!(update.state, UpdateState::Unknown));
}

#[tokio::test]
async fn sessions_that_are_published_directly_do_not_pile_up_in_the_queue() {
    let ledger = VerifyLedger::new();
    for number in 0..100 {
        first(&ledger, number)
            .await
            .settle(VerifyOutcome::Unknown)
            .await;
        ledger.mark_sent(&ledger.update(digest(number)).unwrap());
    }
    assert!(ledger.lock().unpublished.is_empty());
}

#[tokio::test]
async fn a_pending_claim_is_not_published_as_a_call() {
    let ledger = VerifyLedger::new();
    let lease = first(&ledger, 1).await;
    only_asks(&ledger, &lease, 1);
    ledger.queue_all();
    assert!(next(&ledger).is_none());
    lease.settle(VerifyOutcome::Unknown).await;
    assert_eq!(next(&ledger).unwrap().0, 1);
}

#[tokio::test]
async fn a_pending_claim_that_is_given_up_withdraws_the_claim_alone() {
    let ledger = VerifyLedger::new();
    let lease = first(&ledger, 1).await;
    only_asks(&ledger, &lease, 1);
    lease.free();
    let (_, update) = next(&ledger).unwrap();
    assert!(matches!(update.state, UpdateState::Withdrawn));
    ledger.mark_sent(&update);
    assert!(ledger.update(digest(1)).is_none());
}
