//! Claims on one replica; those over several are tested with a real store.

use std::time::SystemTime;

use super::*;
use crate::{
    session::{SessionKeys, SessionSettings, ticket::SessionOwner},
    store::StorePace,
    verify_once::lease::VerifyOutcome,
};

fn ticket() -> Ticket {
    let settings = SessionSettings {
        seal_key: None,
        previous_seal_key: None,
    };
    let keys = SessionKeys::new(&settings, "qiniu.example").unwrap();
    let owner = SessionOwner::new(&keys, "issuer", "user");
    let id = owner.seal("S1", SystemTime::now()).unwrap();
    owner.open(&id, SystemTime::now()).ok().unwrap()
}

#[tokio::test]
async fn a_retry_waits_until_its_timeout_and_gets_the_response_of_the_first_upload() {
    let (call, finalization) = (Duration::from_secs(60), Duration::from_secs(1800));
    assert!(wait_timeout(call, finalization) > call + finalization);
    let (once, ticket) = (VerifyOnce::new(None), ticket());
    let upload = Fingerprint([1; 16]);
    let Ok(Claim::Acquired(lease)) = once.claim(&ticket, upload, Duration::ZERO, &|| ()).await
    else {
        panic!("the first upload did not acquire the lease");
    };
    let (began, short) = (Instant::now(), Duration::from_millis(100));
    let retry = once.claim(&ticket, upload, short, &|| ()).await;
    assert_eq!(retry.err(), Some(ClaimError::Timeout));
    assert!(began.elapsed() >= short);
    let response = CachedResponse::new(b"{}", None, None, None);
    lease.settle(VerifyOutcome::Answered(response)).await;
    let retry = once.claim(&ticket, upload, Duration::ZERO, &|| ()).await;
    assert!(matches!(retry, Ok(Claim::Replayed(response)) if response.body == "{}"));
}

/// A store that is never reached.
#[cfg(feature = "redis")]
fn unreached_store() -> Arc<Store> {
    use crate::{
        outbound::{
            connection::{ClientTls, client_config},
            dial::Dialer,
        },
        secret::Secret,
        store::{NamingKey, StoreAddress, StoreNames, StoreSettings},
        telemetry::{log::LogWriter, metrics::Metrics},
    };
    let tls = ClientTls::new(client_config(None).unwrap());
    let settings = StoreSettings {
        address: StoreAddress::parse(&Secret::new("unix:///nowhere"), &tls, false).unwrap(),
        names: StoreNames::new("gateway").unwrap(),
        dialer: Dialer::default(),
        timeout: Duration::from_millis(50),
        pace: StorePace::default(),
    };
    let metrics = Metrics::new(LogWriter::capture().0);
    Store::new(settings, NamingKey::derive(b"secret").unwrap(), &metrics).unwrap()
}

/// What was published when the other store took over did not have the lease yet.
#[cfg(feature = "redis")]
#[tokio::test]
async fn a_lease_that_is_granted_as_another_store_takes_over_is_published_there() {
    let (store, ticket) = (unreached_store(), ticket());
    for (before, is_published) in [(None, false), (Some(Instant::now()), true)] {
        let ledger = VerifyLedger::new();
        let outbox = Outbox::new(Arc::clone(&store), Arc::clone(&ledger));
        let upload = Fingerprint([1; 16]);
        let acquired = acquire(&ledger, None, ticket.digest, upload, ticket.ends, &|| ());
        let Ok(Claim::Acquired(lease)) = acquired.await else {
            panic!("the first upload did not acquire the lease");
        };
        let mut pending = PendingClaim {
            lease: Some(lease),
            inquiry: Inquiry::new(false, Duration::ZERO),
            unsure: false,
            ticket: &ticket,
            outbox: &outbox,
        };
        let publication = Publication {
            lease: 0,
            keys: Arc::clone(ticket.keys()),
            ends: ticket.ends,
            granted: false,
            published: false,
        };
        let granted = pending.grant(publication, before);
        assert!(granted.is_ok());
        let queued = ledger.lock().unpublished.contains(&ticket.digest);
        assert_eq!(queued, is_published);
    }
}

#[test]
fn a_claim_waits_for_a_lost_store_as_long_as_the_documentation_says() {
    let pace = StorePace::default();
    let after = |recovery: Duration, claimed: bool, lost_recently: bool, waited: f64| {
        let mut inquiry = Inquiry::new(claimed, recovery);
        let since = Instant::now().checked_sub(Duration::from_secs_f64(waited));
        inquiry.unavailable_since = since;
        inquiry.next(Err(Unavailable), lost_recently)
    };
    for (recovery, wait) in [(pace.recovery, 3.0), (pace.failover, 10.0)] {
        // Nobody is known to have had the session.
        let step = after(recovery, false, true, wait - 0.5);
        assert!(matches!(step, Step::Wait));
        for (lost_recently, waited) in [(true, wait + 0.1), (false, 0.0)] {
            let step = after(recovery, false, lost_recently, waited);
            assert!(matches!(step, Step::Acquired));
        }
        // Another replica is.
        let step = after(recovery, true, false, wait + 1.5);
        assert!(matches!(step, Step::Wait));
        let step = after(recovery, true, false, wait + 2.1);
        assert!(matches!(step, Step::Refused(ClaimError::OutcomeUnknown)));
    }
}
