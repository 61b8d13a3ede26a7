//! The last step of a `verify`: from Qiniu's answer to the very bytes that its caller gets. The answer is judged, the app's
//! backend gets its evidence, and the verdict is signed and put in.
//!
//! It is a part of the call, so that it happens once and to its end, whoever is still waiting. Without `[verdict]`,
//! and on other routes, an answer passes as it is.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{endpoint::Wanted, refusal::Refusal, request_id::RequestId};
use crate::{
    auth::Caller,
    evidence::{
        EvidenceSettings,
        deliver::{EvidenceDelivery, EvidenceSender},
    },
    memory::BodyMemory,
    qiniu::{
        response::UpstreamResponse,
        retained::{RetainedResponse, RetentionError},
    },
    telemetry::Telemetry,
    verdict::{
        VerdictSettings,
        judge::{Judgement, judge},
        member::insert_verdict,
        sign::{VerdictId, VerdictInput, VerdictSigner, VerdictSigningError},
    },
};

/// What concludes an answer, made once at start.
pub struct Conclusions {
    /// Signs, where the operator wants verdicts.
    verdicts: Option<VerdictSigner>,
    /// Takes pictures to the app's backend, where the operator wants that.
    evidence: Option<EvidenceSender>,
}

/// Whom an answer is about, and how it is to be concluded.
pub(super) struct About {
    /// The user, and who vouched for the user.
    pub(super) caller: Arc<Caller>,
    /// For the log.
    pub(super) request_id: RequestId,
    /// The route tells no scores.
    pub(super) scores_hidden: bool,
    /// SHA-256 of the video, where it was taken.
    pub(super) video_sha256: Option<[u8; 32]>,
}

impl Conclusions {
    /// From what the operator wants; a connection is opened only for a delivery.
    pub fn new(verdict: Option<VerdictSettings>, evidence: Option<EvidenceSettings>) -> Self {
        Self {
            verdicts: verdict.map(VerdictSigner::new),
            evidence: evidence.map(EvidenceSender::new),
        }
    }

    /// What signs, where the operator wants verdicts.
    pub fn verdicts(&self) -> Option<&VerdictSigner> {
        self.verdicts.as_ref()
    }

    /// What delivers, where the operator wants that.
    pub fn evidence(&self) -> Option<&EvidenceSender> {
        self.evidence.as_ref()
    }

    /// What it needs of a `verify`, with the memory for whole answers; and whether sessions are bound to callers.
    pub fn wanted(&self, memory: &Arc<BodyMemory>, bound: bool) -> Wanted {
        let verdicts = self.verdicts();
        Wanted {
            threshold: verdicts.map(|verdicts| verdicts.rule().threshold),
            whole: self.evidence.as_ref().map(|_| Arc::clone(memory)),
            video_digest: verdicts.is_some_and(VerdictSigner::wants_video_digest),
            bound,
        }
    }

    /// How long it may take beyond the call.
    pub(super) fn longest(&self) -> Duration {
        let evidence = self.evidence.as_ref();
        evidence.map_or(Duration::ZERO, EvidenceSender::timeout)
    }

    /// The bytes that the caller gets.
    pub(super) async fn conclude(
        &self,
        mut answer: UpstreamResponse,
        about: &About,
        telemetry: &Telemetry,
    ) -> Result<Vec<u8>, Refusal> {
        let (Some(verdicts), Some(marks)) = (&self.verdicts, &answer.marks) else {
            return Ok(answer.body);
        };
        let mut judgement = judge(marks, verdicts.rule());
        let id = VerdictId::random()?;
        let whole = answer.whole.take();
        // Boxed, for it is large, and few gateways deliver anything.
        let delivered = self.deliver(&id, &judgement, whole, about, telemetry);
        let delivered = Box::pin(delivered).await;
        if delivered == Some(false)
            && self
                .evidence
                .as_ref()
                .is_some_and(EvidenceSender::is_required)
        {
            judgement.passed = false;
        }
        let statement = VerdictInput {
            id: &id,
            user: &about.caller.user,
            issuer: &about.caller.issuer,
            judgement: &judgement,
            scores_hidden: about.scores_hidden,
            video_sha256: about.video_sha256,
            delivered,
        };
        let verdict = verdicts.sign(&statement, SystemTime::now())?;
        telemetry.metrics.count_verdict(judgement.passed);
        Ok(insert_verdict(answer.body, &verdict).ok_or(VerdictSigningError)?)
    }

    /// Whether the backend acknowledged it; nothing where there was nothing for it.
    async fn deliver(
        &self,
        id: &VerdictId,
        judgement: &Judgement,
        whole: Option<Result<RetainedResponse, RetentionError>>,
        about: &About,
        telemetry: &Telemetry,
    ) -> Option<bool> {
        let evidence = self
            .evidence
            .as_ref()
            .filter(|evidence| evidence.should_deliver(judgement.passed))?;
        let delivery = EvidenceDelivery {
            id: id.as_str(),
            user: &about.caller.user,
            issuer: &about.caller.issuer,
            passed: judgement.passed,
            answer: &whole?,
        };
        let outcome = evidence.deliver(&delivery).await;
        if let Err(why) = &outcome {
            tracing::warn!(request_id = %about.request_id, "evidence was not acknowledged: {why}");
        }
        telemetry.metrics.count_evidence_delivery(outcome.is_ok());
        Some(outcome.is_ok())
    }
}

impl From<VerdictSigningError> for Refusal {
    fn from(_: VerdictSigningError) -> Self {
        Self::Internal
    }
}
