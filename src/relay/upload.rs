//! The second step: from an [`Admitted`] request to a [`Prepared`] one, or to the cached
//! response of an earlier try.
//!
//! Receives the body, inspects the video, and claims the session. Relies on
//! [`crate::body`], which checks and signs the body as it arrives. Never calls Qiniu.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::body::Incoming;

use super::{
    access_record::AccessRecord, admit::Admitted, audited::AuditedVerify, endpoint::Endpoint,
    gateway::Gateway, refusal::Refusal,
};
use crate::{
    body::{
        BodyRefusal,
        attempt::VerifyAttempt,
        incoming::BodyAdmission,
        receive::{ReceivedBody, receive},
    },
    route::{RouteKind, VideoCheck},
    telemetry::metrics::labels::{ReplayState, RouteLimit},
    verify_once::{CachedResponse, Claim, VerifyLease, VerifyOutcome, wait_timeout},
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
    Replayed(Arc<CachedResponse>, ReplayState),
}

/// A request that may be forwarded.
pub(super) struct Prepared {
    /// The signed request and the memory that it holds.
    pub(super) received: ReceivedBody,
    /// The right to make the one billed call of its session, where sessions are bound.
    pub(super) lease: Option<VerifyLease>,
}

/// Receives and checks the body, and claims its session. A retry waits here for the response
/// of the first try. If it lost its body meanwhile and turns out to be needed, it is refused.
pub(super) async fn upload(
    gateway: &Gateway,
    admitted: &Admitted,
    body: &mut Incoming,
    record: &mut AccessRecord,
) -> Result<Upload, Refusal> {
    let endpoint = &admitted.endpoint;
    let begun = record.trace.clock();
    let received = receive_body(gateway, admitted, body, record).await;
    record.trace.add("receive", begun);
    let mut received = received.inspect_err(|refusal| count_refusal(gateway, endpoint, refusal))?;
    record.body_received();
    inspect(gateway, endpoint, &received, record)?;
    let attempt = received.attempt.take();
    let video_sha256 = received.video_sha256;
    let mut received = Some(received);
    let lease = match attempt {
        Some(attempt) => {
            let begun = record.trace.clock();
            let claimed = claim(gateway, endpoint, attempt, &mut received).await;
            record.trace.add("claim", begun);
            match claimed? {
                (Claim::Replayed(cached), state) => {
                    let id = record.request_id;
                    if let Some(audited) = AuditedVerify::new(gateway, admitted, id, video_sha256) {
                        Box::pin(audited.replay(&cached)).await?;
                    }
                    return Ok(Upload::Replayed(cached, state));
                }
                (Claim::Acquired(lease), _) => Some(lease),
            }
        }
        None => None,
    };
    match (received, lease) {
        (Some(received), lease) => Ok(Upload::Prepared(Prepared { received, lease })),
        (None, Some(lease)) => {
            lease.settle(VerifyOutcome::NotTaken).await;
            Err(BodyRefusal::NoRoom.into())
        }
        (None, None) => Err(Refusal::Internal),
    }
}

fn receive_body<'a>(
    gateway: &'a Gateway,
    admitted: &'a Admitted,
    body: &'a mut Incoming,
    record: &'a mut AccessRecord,
) -> impl Future<Output = Result<ReceivedBody, BodyRefusal>> {
    let endpoint = &*admitted.endpoint;
    let mut draft = endpoint.template.draft(record.time());
    if endpoint.settings.kind != RouteKind::Session {
        draft = draft.opens_early(&gateway.upstream);
    }
    let owner = admitted.owner.as_ref();
    let owner = owner.filter(|_| endpoint.settings.kind == RouteKind::Verify);
    receive(
        body,
        &admitted.form,
        &endpoint.body,
        BodyAdmission {
            memory: &gateway.body_memory,
            caller: admitted.caller_key,
        },
        draft,
        owner.cloned(),
        &mut record.bytes_in,
    )
}

/// Counts what ended the upload early.
fn count_refusal(gateway: &Gateway, endpoint: &Endpoint, refusal: &BodyRefusal) {
    let metrics = &gateway.telemetry.metrics;
    match refusal {
        BodyRefusal::Video(finding) => metrics.count_video_finding(*finding),
        BodyRefusal::UserShare => {
            metrics.count_limit_refusal(&endpoint.path, RouteLimit::BodyMemory);
        }
        _ => {}
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
    gateway.telemetry.metrics.count_video_finding(finding);
    if endpoint.settings.video_check == VideoCheck::Enforce {
        return Err(BodyRefusal::Video(finding).into());
    }
    let lines = &gateway.telemetry.lines.videos;
    lines.log(finding.name(), |left_out| {
        tracing::info!(
            request_id = %record.request_id,
            finding = finding.name(),
            left_out,
            "a video does not meet Qiniu's requirements: {finding}"
        );
    });
    Ok(())
}

/// Claims the session of an attempt. Waits while the same body is in flight; meanwhile others may
/// have this one's memory, and `received` is then empty. Also returns whether it waited.
async fn claim(
    gateway: &Gateway,
    endpoint: &Endpoint,
    attempt: VerifyAttempt,
    received: &mut Option<ReceivedBody>,
) -> Result<(Claim, ReplayState), Refusal> {
    let wait = wait_timeout(endpoint.settings.timeout, gateway.finalizer.longest());
    let spare = received.as_ref().map(|received| received.permit.spare());
    let spare = spare.unwrap_or_default();
    let waited = AtomicBool::new(false);
    let offer = || {
        waited.store(true, Ordering::Relaxed);
        spare.offer();
    };
    let verify_once = &gateway.verify_once;
    let claim = verify_once.claim(&attempt.ticket, attempt.fingerprint, wait, &offer);
    let mut claim = pin!(claim);
    let claimed = tokio::select! {
        biased;
        claimed = &mut claim => claimed,
        () = spare.taken() => {
            *received = None;
            claim.await
        }
    };
    if !spare.keep() {
        *received = None;
    }
    let state = match waited.load(Ordering::Relaxed) {
        true => ReplayState::Waited,
        false => ReplayState::Cached,
    };
    let claimed = claimed.map_err(Refusal::Session)?;
    Ok((claimed, state))
}
