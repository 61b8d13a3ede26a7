//! What an answer to `verify` says about the person: the members that a verdict is made of, picked up while the answer
//! is cut.
//!
//! Every object on the way to one of them is watched for members of the same name: of two scores nobody could say which
//! one counts. Judges nothing; that is [`crate::verdict::judge`]'s.

use crate::json::{
    pointer::Pointer,
    rules::{Rules, Slot},
    value::Value,
};

/// The marks of one answer, as Qiniu wrote them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// `error_code`
    pub error_code: Value,
    /// `serverlogid`
    pub serverlogid: Value,
    /// `result.action_verify`
    pub action_verify: Value,
    /// `result.score`
    pub score: Value,
    /// `result.thresholds.` and the name of the one that decides
    pub threshold: Value,
    /// `result.maxspoofing`
    pub maxspoofing: Value,
}

/// Where the marks are put while an answer is cut.
pub(super) struct MarkSlots {
    error_code: Slot,
    serverlogid: Slot,
    action_verify: Slot,
    score: Slot,
    threshold: Slot,
    maxspoofing: Slot,
}

impl MarkSlots {
    /// Asks for the marks; the envelope's two are asked for already.
    pub(super) fn new(
        rules: &mut Rules,
        error_code: Slot,
        serverlogid: Slot,
        threshold: &str,
    ) -> Self {
        let mut capture = |path: &str| {
            Pointer::parse(path)
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
    pub(super) fn read(&self, values: &[Value]) -> Marks {
        let value = |slot: Slot| values.get(slot).cloned().unwrap_or_default();
        Marks {
            error_code: value(self.error_code),
            serverlogid: value(self.serverlogid),
            action_verify: value(self.action_verify),
            score: value(self.score),
            threshold: value(self.threshold),
            maxspoofing: value(self.maxspoofing),
        }
    }
}
