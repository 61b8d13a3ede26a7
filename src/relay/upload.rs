//! The second step: from an [`Admitted`] request to a [`Prepared`] one, or to the cached
//! response of an earlier try.
//!
//! Receives the body, inspects the video, and claims the session. Relies on
//! [`crate::body`], which checks and signs the body as it arrives. Never calls Qiniu.

use std::{sync::Arc, time::Duration};

use hyper::body::Incoming;
use tokio::time::timeout;

use super::{
    access_record::AccessRecord, admit::Admitted, endpoint::Endpoint, gateway::Gateway,
    refusal::Refusal,
};
use crate::{
    body::{
        BodyRefusal,
        attempt::VerifyAttempt,
        receive::{ReceivedBody, receive},
    },
    qiniu::upstream_call::UpstreamFailureKind,
    route::{RouteKind, VideoCheck},
    session::{
        Sessions,
        cached::CachedResponse,
        ledger::{Claim, VerifyLease},
    },
};

/// Added to a retry's wait: neither the call nor its finalization starts at once.
const WAIT_MARGIN: Duration = Duration::from_secs(5);

/// The result of an upload.
pub(super) enum Upload {
    /// The request may be forwarded.
    Prepared(Prepared),
    /// The session was verified before with the same body: this is its response.
    Replayed(Arc<CachedResponse>),
}

/// A request that may be forwarded.
pub(super) struct Prepared {
    /// The signed request and the memory that it holds.
    pub(super) received: ReceivedBody,
    /// The right to make the one billed call of its session, where sessions are bound.
    pub(super) lease: Option<VerifyLease>,
}

/// Receives and checks the body, and claims its session. A retry waits here for the response
/// of the first try.
pub(super) async fn upload(
    gateway: &Gateway,
    admitted: &Admitted,
    body: &mut Incoming,
    record: &mut AccessRecord,
) -> Result<Upload, Refusal> {
    let endpoint = &admitted.endpoint;
    let received = receive_body(gateway, admitted, body, record).await;
    let mut received = received.inspect_err(|refusal| count_finding(gateway, refusal))?;
    inspect(gateway, endpoint, &received, record)?;
    let attempt = received.attempt.take();
    let wait = wait_timeout(endpoint.settings.timeout, gateway.finalizer.longest());
    match claim(gateway.sessions.as_ref(), attempt, wait).await? {
        Some(Claim::Replayed(cached)) => Ok(Upload::Replayed(cached)),
        Some(Claim::Acquired(lease)) => Ok(Upload::Prepared(Prepared {
            received,
            lease: Some(lease),
        })),
        None => Ok(Upload::Prepared(Prepared {
            received,
            lease: None,
        })),
    }
}

fn receive_body<'a>(
    gateway: &'a Gateway,
    admitted: &'a Admitted,
    body: &'a mut Incoming,
    record: &'a mut AccessRecord,
) -> impl Future<Output = Result<ReceivedBody, BodyRefusal>> {
    let endpoint = &*admitted.endpoint;
    let draft = endpoint.template.draft(record.time());
    let owner = admitted.owner.as_ref();
    let owner = owner.filter(|_| endpoint.settings.kind == RouteKind::Verify);
    receive(
        body,
        &admitted.form,
        &endpoint.body,
        &gateway.admission,
        draft,
        owner.cloned(),
        &mut record.bytes_in,
    )
}

/// Counts a finding that ended the upload early.
fn count_finding(gateway: &Gateway, refusal: &BodyRefusal) {
    if let BodyRefusal::Video(finding) = refusal {
        gateway
            .telemetry
            .metrics
            .count_video_finding(finding.name());
    }
}

/// Inspects the video's container. A finding is counted, and refused with `enforce`.
fn inspect(
    gateway: &Gateway,
    endpoint: &Endpoint,
    received: &ReceivedBody,
    record: &AccessRecord,
) -> Result<(), Refusal> {
    if endpoint.settings.video_check == VideoCheck::Off {
        return Ok(());
    }
    let Err(finding) = received.inspect() else {
        return Ok(());
    };
    gateway
        .telemetry
        .metrics
        .count_video_finding(finding.name());
    if endpoint.settings.video_check == VideoCheck::Enforce {
        return Err(BodyRefusal::Video(finding).into());
    }
    tracing::info!(
        request_id = %record.request_id,
        finding = finding.name(),
        "a video does not meet Qiniu's requirements"
    );
    Ok(())
}

/// Claims the session of an attempt, where sessions are bound. Waits up to `wait` while the
/// same body is in flight.
async fn claim(
    sessions: Option<&Arc<Sessions>>,
    attempt: Option<VerifyAttempt>,
    wait: Duration,
) -> Result<Option<Claim>, Refusal> {
    let (Some(sessions), Some(attempt)) = (sessions, attempt) else {
        return Ok(None);
    };
    // Boxed: only a verify pays for the size of this future.
    let claim = Box::pin(sessions.claim(&attempt.ticket, attempt.fingerprint));
    match timeout(wait, claim).await {
        Ok(claim) => claim.map(Some).map_err(Refusal::Session),
        Err(_) => Err(Refusal::Upstream(UpstreamFailureKind::Timeout.into())),
    }
}

/// How long a retry waits for the first try: a little longer than its call and the
/// finalization of its response may take.
fn wait_timeout(call: Duration, finalization: Duration) -> Duration {
    call.saturating_add(finalization)
        .saturating_add(WAIT_MARGIN)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::relay::permits::tests::{attempt, lease, sessions};

    #[tokio::test]
    async fn a_retry_waits_as_long_as_the_call_may_take_and_no_longer() {
        let (call, finalization) = (Duration::from_secs(60), Duration::from_secs(1800));
        assert!(wait_timeout(call, finalization) > call + finalization);
        let sessions = sessions();
        let _lease = lease(&sessions).await;
        let (began, wait) = (Instant::now(), Duration::from_millis(100));
        let claimed = claim(Some(&sessions), Some(attempt(&sessions)), wait).await;
        assert_eq!(claimed.err().unwrap().problem().code, "upstream_timeout");
        assert!(began.elapsed() >= wait);
    }
}
