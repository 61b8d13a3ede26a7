//! The one billed call of a session: who may make it, and what becomes of the session behind it.
//!
//! Relies on [`crate::session`]. Never calls Qiniu itself.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{record::UpstreamFacts, refusal::Refusal};
use crate::{
    body::upload::Upload,
    qiniu::answer::FailureKind,
    session::{
        Sessions,
        kept::Kept,
        ledger::{Claim, Turn},
    },
};

/// How much longer than a call a retry waits for it: the call may begin a little later, and evidence may be delivered behind it.
const BESIDE: Duration = Duration::from_secs(15);

/// Claims the session of an upload, where sessions are bound to callers. A retry waits here for the first try's answer, for a
/// little more than the `call` may take.
pub(super) async fn claim(
    sessions: Option<&Arc<Sessions>>,
    upload: Option<Upload>,
    call: Duration,
) -> Result<Option<Claim>, Refusal> {
    let (Some(sessions), Some(Upload { ticket, print })) = (sessions, upload) else {
        return Ok(None);
    };
    let claim = sessions.claim(&ticket, print);
    match timeout(call.saturating_add(BESIDE), claim).await {
        Ok(claim) => claim.map(Some).map_err(Refusal::Session),
        Err(_) => Err(Refusal::Upstream(FailureKind::Timeout.into())),
    }
}

/// Ends a turn by what the call came to: the body that its caller gets, or whether Qiniu surely took nothing on. An answer of
/// Qiniu's that could not be concluded was billed all the same, so it counts as lost. The other replicas hear of it first.
pub(super) async fn end(
    sessions: Option<&Arc<Sessions>>,
    turn: Turn,
    body: Option<&Bytes>,
    facts: &UpstreamFacts,
    untaken: bool,
) {
    let name = turn.name();
    match body {
        Some(body) => drop(turn.answered(Kept {
            body: body.clone(),
            error_code: facts.error_code,
            serverlogid: facts.serverlogid.clone(),
            reqid: facts.reqid.clone(),
        })),
        None if untaken => turn.not_sent(),
        None => turn.lost(),
    }
    if let Some(sessions) = sessions {
        sessions.tell(&name).await;
    }
}

/// Gives a turn back that can't be taken now: its session is as good as before.
pub(super) async fn give_back(sessions: Option<&Arc<Sessions>>, turn: Turn) {
    let name = turn.name();
    turn.not_sent();
    if let Some(sessions) = sessions {
        sessions.tell(&name).await;
    }
}

/// What the record says of an answer that was kept: whose it is, and that no call was made for it.
pub(super) fn recalled(kept: &Arc<Kept>) -> UpstreamFacts {
    UpstreamFacts {
        error_code: kept.error_code,
        serverlogid: kept.serverlogid.clone(),
        reqid: kept.reqid.clone(),
        ..UpstreamFacts::default()
    }
}
