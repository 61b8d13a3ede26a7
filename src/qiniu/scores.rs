//! What an answer to `verify` says about the person: the members that a verdict is made of, picked up while the answer
//! is cut.
//!
//! Every object on the way to one of them is watched for members of the same name: of two scores nobody could say which
//! one counts. Judges nothing; that is [`crate::verdict::judge`]'s.

use crate::json::{
    rules::{CaptureSlot, CutRules, MemberPath},
    sink::CapturedValue,
};

/// The marks of one answer, as Qiniu wrote them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LivenessScores {
    /// `error_code`
    pub error_code: CapturedValue,
    /// `serverlogid`
    pub serverlogid: CapturedValue,
    /// `result.action_verify`
    pub action_verify: CapturedValue,
    /// `result.score`
    pub score: CapturedValue,
    /// `result.thresholds.` and the name of the one that decides
    pub threshold: CapturedValue,
    /// `result.maxspoofing`
    pub maxspoofing: CapturedValue,
}

/// Where the marks are put while an answer is cut.
pub(super) struct ScoreSlots {
    error_code: CaptureSlot,
    serverlogid: CaptureSlot,
    action_verify: CaptureSlot,
    score: CaptureSlot,
    threshold: CaptureSlot,
    maxspoofing: CaptureSlot,
}

impl ScoreSlots {
    /// Asks for the marks; the envelope's two are asked for already.
    pub(super) fn new(
        rules: &mut CutRules,
        error_code: CaptureSlot,
        serverlogid: CaptureSlot,
        threshold: &str,
    ) -> Self {
        let mut capture = |path: &str| {
            MemberPath::parse(path)
                .map(|pointer| rules.capture(&pointer))
                .unwrap_or_default()
        };
        Self {
            error_code,
            serverlogid,
            action_verify: capture("result.action_verify"),
            score: capture("result.score"),
            threshold: capture(&format!("result.thresholds.{threshold}")),
            maxspoofing: capture("result.maxspoofing"),
        }
    }

    /// Picks the marks from what the cut found.
    pub(super) fn read(&self, values: &[CapturedValue]) -> LivenessScores {
        let value = |slot: CaptureSlot| values.get(slot).cloned().unwrap_or_default();
        LivenessScores {
            error_code: value(self.error_code),
            serverlogid: value(self.serverlogid),
            action_verify: value(self.action_verify),
            score: value(self.score),
            threshold: value(self.threshold),
            maxspoofing: value(self.maxspoofing),
        }
    }
}
