//! The members of a `verify` response that a verdict is based on, captured while the response is
//! cut.
//!
//! Every object on the path to one of them is checked for duplicate names, because of two scores it
//! would be unclear which one counts. Judges nothing: that is the task of
//! [`crate::verdict::judge`].

use crate::json::{
    rules::{CaptureSlot, CutRules, MemberPath},
    sink::CapturedValue,
};

/// The scores in one response, as Qiniu wrote them.
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
    /// `result.thresholds.NAME`, where `NAME` is the threshold that decides
    pub threshold: CapturedValue,
    /// `result.maxspoofing`
    pub maxspoofing: CapturedValue,
}

/// The capture slots of the scores.
pub(super) struct ScoreSlots {
    error_code: CaptureSlot,
    serverlogid: CaptureSlot,
    action_verify: CaptureSlot,
    score: CaptureSlot,
    threshold: CaptureSlot,
    maxspoofing: CaptureSlot,
}

impl ScoreSlots {
    /// Captures the scores. The two members of the envelope are captured already.
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

    /// Picks the scores from the captured values.
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
