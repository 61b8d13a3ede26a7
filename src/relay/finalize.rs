//! The end of a call: from Qiniu's response to the bytes that the caller gets.
//!
//! On a `verify` route with `[verdict]`, judges the response, delivers evidence to the app's
//! backend, signs the verdict and inserts it. Any other response passes unchanged. It is a
//! part of the call, so it happens once and completely, whoever still waits.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{endpoint::ResponseNeeds, refusal::Refusal, request_id::RequestId};
use crate::{
    auth::{Caller, CopiedClaims},
    body::nonce::Nonce,
    evidence::{
        EvidenceSettings,
        deliver::{DeliveryError, EvidenceDelivery, EvidenceSender},
    },
    memory::MemoryBudget,
    qiniu::{
        kept_back::KeptBackNames,
        response::UpstreamResponse,
        retained::{RetainedResponse, RetentionError},
    },
    telemetry::{Telemetry, metrics::Metrics, peer_clock::PeerClock, trace_context::OutgoingTrace},
    traces::SpanTimes,
    verdict::{
        VerdictSettings,
        judge::{Judgement, judge},
        sign::{
            IssuedVerdict, VerdictId, VerdictInput, VerdictSigner, VerdictSigningError,
            insert_verdict,
        },
    },
};

/// Finalizes responses, by one configuration.
pub struct ResponseFinalizer {
    /// Signs verdicts; `None` without `[verdict]`.
    verdicts: Option<Arc<VerdictSigner>>,
    /// Delivers pictures to the app's backend; `None` without `[evidence]`.
    evidence: Option<EvidenceSender>,
}

/// A response as the caller gets it.
pub(super) struct Finalized {
    /// The response's body.
    pub(super) body: Vec<u8>,
    /// The verdict in it, if it has one.
    pub(super) verdict: Option<IssuedVerdict>,
    /// When evidence was delivered, if it was tried.
    pub(super) evidence: Option<SpanTimes>,
}

/// What a verdict says besides Qiniu's response.
pub(super) struct VerdictContext<'a> {
    /// The verified user and their issuer.
    pub(super) caller: &'a Caller,
    /// For the log.
    pub(super) request_id: RequestId,
    /// Leave the scores out (`response.scores = "hidden"`).
    pub(super) scores_hidden: bool,
    /// SHA-256 of the video, if it was computed.
    pub(super) video_sha256: Option<[u8; 32]>,
    /// The nonce of the transaction.
    pub(super) nonce: Option<&'a Nonce>,
    /// What the app's backend is told of the request's trace.
    pub(super) trace: Option<&'a OutgoingTrace>,
}

impl ResponseFinalizer {
    /// Opens no connection; each delivery does.
    pub fn new(verdict: Option<VerdictSettings>, evidence: Option<EvidenceSettings>) -> Self {
        Self {
            verdicts: verdict.map(VerdictSigner::new).map(Arc::new),
            evidence: evidence.map(EvidenceSender::new),
        }
    }

    /// Also watches the clock of the evidence backend.
    pub fn watching_clocks(self, metrics: &Arc<Metrics>) -> Self {
        let clock = PeerClock::new("evidence".into(), Arc::clone(metrics));
        Self {
            evidence: self.evidence.map(|evidence| evidence.watching(clock)),
            ..self
        }
    }

    /// The signer of verdicts, with `[verdict]`.
    pub fn verdicts(&self) -> Option<&Arc<VerdictSigner>> {
        self.verdicts.as_ref()
    }

    /// The delivery of evidence, with `[evidence]`.
    pub fn evidence(&self) -> Option<&EvidenceSender> {
        self.evidence.as_ref()
    }

    /// Keeps the keys published that signed verdicts before a reload.
    pub fn follow(&self, previous: &Self, now: Instant) {
        if let (Some(verdicts), Some(previous)) = (&self.verdicts, &previous.verdicts) {
            verdicts.follow(previous, now);
        }
    }

    /// What finalization needs of each `verify`. Retained responses share `room`; `bound` says that
    /// session ids are sealed, and `kept_back` knows what was logged of responses.
    pub fn needs(
        &self,
        room: &Arc<MemoryBudget>,
        bound: bool,
        kept_back: &Arc<KeptBackNames>,
    ) -> ResponseNeeds {
        let verdicts = self.verdicts();
        ResponseNeeds {
            threshold: verdicts.map(|verdicts| verdicts.rule().threshold),
            whole: self.evidence.as_ref().map(|_| Arc::clone(room)),
            video_digest: verdicts.is_some_and(|verdicts| verdicts.wants_video_digest()),
            bound,
            kept_back: Arc::clone(kept_back),
        }
    }

    /// Maximum time that finalization takes after the call.
    pub(super) fn longest(&self) -> Duration {
        let evidence = self.evidence.as_ref();
        evidence.map_or(Duration::ZERO, EvidenceSender::timeout)
    }

    /// Returns what the caller gets.
    pub(super) async fn finalize(
        &self,
        mut response: UpstreamResponse,
        context: &VerdictContext<'_>,
        telemetry: &Telemetry,
    ) -> Result<Finalized, Refusal> {
        let (Some(verdicts), Some(marks)) = (&self.verdicts, &response.scores) else {
            return Ok(Finalized {
                body: response.body,
                verdict: None,
                evidence: None,
            });
        };
        let mut judgement = judge(marks, verdicts.rule());
        let id = VerdictId::random()?;
        let whole = response.retained.take();
        let begun = Instant::now();
        // Boxed: the future is large, and few gateways deliver evidence.
        let delivered = Box::pin(self.deliver(&id, &judgement, whole, context, telemetry)).await;
        let evidence = delivered.map(|_| SpanTimes::since(begun));
        if delivered == Some(false)
            && self
                .evidence
                .as_ref()
                .is_some_and(EvidenceSender::is_required)
        {
            judgement.passed = false;
        }
        let token_claims = context.caller.copied_claims.as_ref();
        let statement = VerdictInput {
            id: &id,
            user: &context.caller.user,
            issuer: &context.caller.issuer,
            judgement: &judgement,
            scores_hidden: context.scores_hidden,
            // The audit log may have asked for it.
            video_sha256: context
                .video_sha256
                .filter(|_| verdicts.wants_video_digest()),
            delivered,
            nonce: context.nonce.map(Nonce::as_str),
            token_claims: token_claims.map(CopiedClaims::json),
        };
        let verdict = verdicts.sign(&statement, SystemTime::now())?;
        telemetry.metrics.count_verdict(judgement.passed);
        Ok(Finalized {
            body: insert_verdict(response.body, &verdict)?,
            evidence,
            verdict: Some(IssuedVerdict {
                id,
                passed: judgement.passed,
                delivered,
            }),
        })
    }

    /// Returns whether the backend acknowledged the evidence; `None` if there was none for it.
    async fn deliver(
        &self,
        id: &VerdictId,
        judgement: &Judgement,
        retained: Option<Result<RetainedResponse, RetentionError>>,
        context: &VerdictContext<'_>,
        telemetry: &Telemetry,
    ) -> Option<bool> {
        let evidence = self
            .evidence
            .as_ref()
            .filter(|evidence| evidence.should_deliver(judgement.passed))?;
        let delivered = match &retained? {
            Ok(retained) => {
                let delivery = EvidenceDelivery {
                    id: id.as_str(),
                    user: &context.caller.user,
                    issuer: &context.caller.issuer,
                    passed: judgement.passed,
                    response: retained.pieces(),
                    trace: context.trace,
                };
                let outcome = evidence.deliver(&delivery).await;
                let failed = |error: &DeliveryError| {
                    undelivered(context, telemetry, error.cause(), error, error.advice());
                };
                outcome.inspect_err(failed).is_ok()
            }
            Err(error) => {
                let advice = "see docs/capacity.md";
                undelivered(context, telemetry, "retention", error, advice);
                false
            }
        };
        telemetry.metrics.count_evidence_delivery(delivered);
        Some(delivered)
    }
}

/// Logs why a delivery was not acknowledged.
fn undelivered(
    context: &VerdictContext<'_>,
    telemetry: &Telemetry,
    cause: &'static str,
    error: &dyn Error,
    advice: &str,
) {
    let error = error.to_string();
    telemetry.lines.evidence.log(&error, |left_out| {
        tracing::warn!(
            request_id = %context.request_id, cause, left_out,
            "the evidence backend did not acknowledge a delivery: {error}; {advice}"
        );
    });
}

impl From<VerdictSigningError> for Refusal {
    fn from(_: VerdictSigningError) -> Self {
        Self::Internal
    }
}
