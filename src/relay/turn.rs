//! The one billed call of a session: who may make it, and what becomes of the session behind it.
//!
//! Relies on [`crate::session`]. Never calls Qiniu itself.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{record::UpstreamFacts, refusal::Refusal};
use crate::{
    body::upload::Upload,
    qiniu::upstream_call::UpstreamFailureKind,
    session::{
        Sessions,
        cached::CachedResponse,
        ledger::{Claim, VerifyLease},
        ticket::SessionDigest,
    },
};

/// How much longer than a call and its conclusion may take a retry waits for them: neither begins at once.
const BESIDE: Duration = Duration::from_secs(5);

/// For how long a retry waits: a little more than the `call`, and what `then` makes an answer of it, may take.
pub(super) fn patience(call: Duration, then: Duration) -> Duration {
    call.saturating_add(then).saturating_add(BESIDE)
}

/// Claims the session of an upload, where sessions are bound to callers. A retry waits here for the first try's answer.
pub(super) async fn claim(
    sessions: Option<&Arc<Sessions>>,
    upload: Option<Upload>,
    patience: Duration,
) -> Result<Option<Claim>, Refusal> {
    let (
        Some(sessions),
        Some(Upload {
            ticket,
            fingerprint,
        }),
    ) = (sessions, upload)
    else {
        return Ok(None);
    };
    // Boxed, as what follows a verify alone is everywhere here: a future is moved with all that it may come to hold.
    let claim = Box::pin(sessions.claim(&ticket, fingerprint));
    match timeout(patience, claim).await {
        Ok(claim) => claim.map(Some).map_err(Refusal::Session),
        Err(_) => Err(Refusal::Upstream(UpstreamFailureKind::Timeout.into())),
    }
}

/// Ends a turn by what the call came to: the body that its caller gets, or whether Qiniu surely took nothing on. An answer of
/// Qiniu's that could not be concluded was billed all the same, so it counts as lost. The other replicas hear of it first.
pub(super) async fn end(
    sessions: Option<&Arc<Sessions>>,
    turn: VerifyLease,
    body: Option<&Bytes>,
    facts: &UpstreamFacts,
    untaken: bool,
) {
    let name = turn.name();
    match body {
        Some(body) => drop(turn.answered(CachedResponse {
            // Not the buffer that it was made in, which may be many times larger: the ledger counts what it keeps by its length.
            body: Bytes::copy_from_slice(body),
            error_code: facts.error_code,
            serverlogid: facts.serverlogid.clone(),
            reqid: facts.reqid.clone(),
        })),
        None if untaken => turn.not_sent(),
        None => turn.lost(),
    }
    tell(sessions, &name).await;
}

/// Gives a turn back that can't be taken now: its session is as good as before.
pub(super) async fn give_back(sessions: Option<&Arc<Sessions>>, turn: VerifyLease) {
    let name = turn.name();
    turn.not_sent();
    tell(sessions, &name).await;
}

async fn tell(sessions: Option<&Arc<Sessions>>, name: &SessionDigest) {
    if let Some(sessions) = sessions {
        Box::pin(sessions.tell(name)).await;
    }
}

/// What the record says of an answer that was kept: whose it is, and that no call was made for it.
pub(super) fn recalled(kept: &Arc<CachedResponse>) -> UpstreamFacts {
    UpstreamFacts {
        error_code: kept.error_code,
        serverlogid: kept.serverlogid.clone(),
        reqid: kept.reqid.clone(),
        ..UpstreamFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::session::SessionSettings;

    fn sessions() -> Arc<Sessions> {
        let settings = SessionSettings {
            seal_key: None,
            previous_seal_key: None,
        };
        Sessions::new(&settings, "qiniu.example").unwrap()
    }

    /// The same one each time.
    fn upload(sessions: &Arc<Sessions>) -> Upload {
        let owner = sessions.owner("issuer", "user");
        let id = owner.seal("S1", SystemTime::now()).unwrap();
        let ticket = owner.open(&id, SystemTime::now()).ok().unwrap();
        let fingerprint = owner.fingerprint().finish(&ticket, b"");
        Upload {
            ticket,
            fingerprint,
        }
    }

    async fn claimed(sessions: &Arc<Sessions>, patience: Duration) -> Result<Claim, Refusal> {
        let claim = claim(Some(sessions), Some(upload(sessions)), patience).await;
        claim.map(|claim| claim.unwrap())
    }

    async fn first(sessions: &Arc<Sessions>) -> VerifyLease {
        match claimed(sessions, Duration::ZERO).await {
            Ok(Claim::Acquired(turn)) => turn,
            _ => panic!("it was not the first"),
        }
    }

    #[tokio::test]
    async fn a_retry_waits_for_as_long_as_it_may_take_and_no_longer() {
        let (call, then) = (Duration::from_secs(60), Duration::from_secs(1800));
        assert!(patience(call, then) > call + then);
        let sessions = sessions();
        let _turn = first(&sessions).await;
        let (began, short) = (Instant::now(), Duration::from_millis(100));
        let refusal = claimed(&sessions, short).await.err().unwrap();
        assert_eq!(refusal.told().code, "upstream_timeout");
        assert!(began.elapsed() >= short);
    }

    #[tokio::test]
    async fn what_is_kept_is_as_large_as_it_looks() {
        let sessions = sessions();
        let turn = first(&sessions).await;
        let mut answer = Vec::with_capacity(1 << 20);
        answer.extend_from_slice(b"{\"error_code\":0}");
        let answer = Bytes::from(answer);
        let facts = UpstreamFacts::default();
        end(None, turn, Some(&answer), &facts, false).await;
        let Ok(Claim::Replayed(kept)) = claimed(&sessions, Duration::ZERO).await else {
            panic!("it was not kept");
        };
        assert_eq!(kept.body, answer);
        drop((answer, sessions));
        let body = Arc::into_inner(kept).unwrap().body;
        let length = body.len();
        assert_eq!(body.try_into_mut().unwrap().capacity(), length);
    }
}
