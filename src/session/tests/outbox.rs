//! What others have to hear, without a store.

use bytes::Bytes;

use super::*;
use crate::session::{
    ledger::{Claim, VerifyLease},
    seal::SealKey,
    ticket::LIFETIME,
};

const VIDEO: Fingerprint = Fingerprint([1; 16]);

async fn first(ledger: &Arc<VerifyLedger>, number: u8) -> VerifyLease {
    let ends = Instant::now() + LIFETIME;
    let Ok(Claim::Acquired(turn)) = ledger.claim(SessionDigest([number; 16]), VIDEO, ends).await
    else {
        panic!("not first");
    };
    turn.mark(Mark {
        turn: u64::from(number),
        keys: Arc::new(Keys::derive(&SealKey::random().unwrap()).unwrap()),
        ends,
        calls: true,
        told: false,
    });
    turn
}

fn kept() -> CachedResponse {
    CachedResponse {
        body: Bytes::from_static(b"{}"),
        error_code: None,
        serverlogid: None,
        reqid: None,
    }
}

fn next(ledger: &VerifyLedger) -> Option<(u8, SessionUpdate)> {
    let item = ledger.next_untold()?;
    Some((item.name.0[0], item))
}

#[tokio::test]
async fn what_ended_is_told_once_and_in_its_order() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.lost();
    drop(first(&ledger, 2).await.answered(kept()));
    first(&ledger, 3).await.not_sent();
    let under_way = first(&ledger, 4).await;
    let (number, item) = next(&ledger).unwrap();
    assert!(number == 1 && matches!(item.state, Known::Unknown));
    ledger.not_told(&item);
    let (number, item) = next(&ledger).unwrap();
    assert_eq!(number, 1);
    ledger.told(&item);
    let (number, item) = next(&ledger).unwrap();
    assert!(number == 2 && matches!(item.state, Known::Answered(_)));
    ledger.told(&item);
    let (number, item) = next(&ledger).unwrap();
    assert!(number == 3 && matches!(item.state, Known::Free));
    ledger.told(&item);
    assert!(next(&ledger).is_none());
    under_way.lost();
    assert_eq!(next(&ledger).unwrap().0, 4);
}

#[tokio::test]
async fn a_store_that_comes_back_hears_all_that_is_still_of_use() {
    let ledger = VerifyLedger::new();
    first(&ledger, 1).await.lost();
    drop(first(&ledger, 2).await.answered(kept()));
    first(&ledger, 3).await.not_sent();
    let under_way = first(&ledger, 4).await;
    for _ in 0..2 {
        while let Some((_, item)) = next(&ledger) {
            ledger.told(&item);
        }
        ledger.tell_all();
        let mut numbers: Vec<_> = std::iter::from_fn(|| next(&ledger)).collect();
        numbers.sort_by_key(|(number, _)| *number);
        assert!(matches!(
            numbers.as_slice(),
            [
                (1, _),
                (2, _),
                (
                    4,
                    SessionUpdate {
                        state: Known::UnderWay,
                        ..
                    }
                )
            ]
        ));
        for (_, item) in &numbers {
            ledger.told(item);
        }
    }
    under_way.lost();
}

#[tokio::test]
async fn news_that_came_while_the_old_was_told_is_news_still() {
    let ledger = VerifyLedger::new();
    let turn = first(&ledger, 1).await;
    let old = ledger.untold(&turn.name()).unwrap();
    let name = turn.name();
    turn.lost();
    ledger.told(&old);
    assert!(matches!(
        ledger.untold(&name).unwrap().state,
        Known::Unknown
    ));
}

#[tokio::test]
async fn what_was_told_at_once_does_not_pile_up() {
    let ledger = VerifyLedger::new();
    for number in 0..100 {
        let turn = first(&ledger, number).await;
        let name = turn.name();
        turn.lost();
        ledger.told(&ledger.untold(&name).unwrap());
    }
    assert!(ledger.pages().outbox.0.is_empty());
}

#[tokio::test]
async fn who_only_asks_does_not_say_that_it_calls() {
    let ledger = VerifyLedger::new();
    let turn = first(&ledger, 1).await;
    turn.mark(Mark {
        calls: false,
        ..ledger.untold(&turn.name()).unwrap().mark
    });
    ledger.tell_all();
    assert!(next(&ledger).is_none());
    turn.lost();
    assert_eq!(next(&ledger).unwrap().0, 1);
}

#[tokio::test]
async fn who_only_asked_and_left_takes_back_no_more_than_a_claim() {
    let ledger = VerifyLedger::new();
    let turn = first(&ledger, 1).await;
    let name = turn.name();
    turn.mark(Mark {
        calls: false,
        ..ledger.untold(&name).unwrap().mark
    });
    turn.not_sent();
    let (_, item) = next(&ledger).unwrap();
    assert!(matches!(item.state, Known::Left));
    ledger.told(&item);
    assert!(ledger.untold(&name).is_none());
}
