//! The second step: from an [`Admitted`] request to a [`Prepared`] one, or to the cached
//! response of an earlier try.
//!
//! Receives the body, inspects the video, and claims the session. Relies on
//! [`crate::body`], which checks and signs the body as it arrives. Never calls Qiniu.

use std::{sync::Arc, time::Duration};

use hyper::body::Incoming;

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
    route::{RouteKind, VideoCheck},
    verify_once::{CachedResponse, Claim, VerifyLease, VerifyOnce, wait_timeout},
};

/// The result of an upload.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every upload is prepared, and boxing it would cost an allocation"
)]
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
    match claim(&gateway.verify_once, attempt, wait).await? {
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
    verify_once: &VerifyOnce,
    attempt: Option<VerifyAttempt>,
    wait: Duration,
) -> Result<Option<Claim>, Refusal> {
    let Some(attempt) = attempt else {
        return Ok(None);
    };
    let claim = verify_once.claim(&attempt.ticket, attempt.fingerprint, wait);
    claim.await.map(Some).map_err(Refusal::Session)
}
