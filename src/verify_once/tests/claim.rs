//! Claims on one replica; those over several are tested with a real store.

use std::time::SystemTime;

use super::*;
use crate::{
    session::{SessionKeys, SessionSettings, ticket::SessionOwner},
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
