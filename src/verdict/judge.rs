//! Whether an answer is a pass. Pure: marks and a rule in, a judgement out.
//!
//! A pass needs `error_code` 0, `action_verify` "pass", a score strictly above the chosen threshold, and, where the
//! operator set a limit, a synthetic-image score that is not above it. Anything that is missing, of another type (a
//! number in quotes, say) or outside its range makes a fail.

use serde_json::value::RawValue;

use crate::{json::sink::CapturedValue, qiniu::scores::LivenessScores};

/// The `max_spoofing` that asks for nothing.
pub const ANY_SPOOFING: f64 = 1.0;
/// Bytes of a `serverlogid` that is passed on.
const MAX_LOG_ID: usize = 64;

/// Which of Qiniu's thresholds decides; named after the share of live people that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreThreshold {
    /// One of 10,000.
    Frr1e4,
    /// One of 1,000.
    Frr1e3,
    /// One of 100.
    Frr1e2,
}

impl ScoreThreshold {
    /// All of them, from the most lenient to the strictest.
    pub const ALL: [Self; 3] = [Self::Frr1e4, Self::Frr1e3, Self::Frr1e2];

    /// As Qiniu and the configuration write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frr1e4 => "frr_1e-4",
            Self::Frr1e3 => "frr_1e-3",
            Self::Frr1e2 => "frr_1e-2",
        }
    }
}

/// What a pass is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassRule {
    /// The score must be above this one.
    pub threshold: ScoreThreshold,
    /// The synthetic-image score may be this at the most; at 1.0 it need not even be there.
    pub max_spoofing: f64,
}

/// What became of an answer. A member that was not fit to be judged is absent.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Whether everything held.
    pub passed: bool,
    /// `"pass"` or `"fail"`.
    pub action_verify: Option<&'static str>,
    /// From 0 to 1, as Qiniu wrote it.
    pub score: Option<Box<RawValue>>,
    /// Which threshold decided.
    pub threshold: ScoreThreshold,
    /// Its value, from 0 to 1, as Qiniu wrote it.
    pub threshold_value: Option<Box<RawValue>>,
    /// From 0 to 1, as Qiniu wrote it.
    pub maxspoofing: Option<Box<RawValue>>,
    /// Qiniu's number for the request: its digits, or its text.
    pub serverlogid: Option<String>,
}

/// Judges an answer.
pub fn judge(marks: &LivenessScores, rule: &PassRule) -> Judgement {
    let success = matches!(&marks.error_code, CapturedValue::Number(code) if code == "0");
    let action_verify = ["pass", "fail"]
        .into_iter()
        .find(|known| matches!(&marks.action_verify, CapturedValue::String(text) if text == known));
    let score = share(&marks.score);
    let threshold = share(&marks.threshold);
    let maxspoofing = share(&marks.maxspoofing);
    let alive = match (&score, &threshold) {
        (Some((score, _)), Some((threshold, _))) => score > threshold,
        _ => false,
    };
    let genuine = rule.max_spoofing >= ANY_SPOOFING
        || maxspoofing
            .as_ref()
            .is_some_and(|(spoofing, _)| *spoofing <= rule.max_spoofing);
    let written = |share: Option<(f64, Box<RawValue>)>| share.map(|(_, written)| written);
    Judgement {
        passed: success && action_verify == Some("pass") && alive && genuine,
        action_verify,
        score: written(score),
        threshold: rule.threshold,
        threshold_value: written(threshold),
        maxspoofing: written(maxspoofing),
        serverlogid: match &marks.serverlogid {
            CapturedValue::Number(text) | CapturedValue::String(text)
                if text.len() <= MAX_LOG_ID =>
            {
                Some(text.clone())
            }
            _ => None,
        },
    }
}

/// A number from 0 to 1, and as it is written. Rounding to an `f64` keeps the order of numbers, so what is above another
/// here is truly above it.
fn share(value: &CapturedValue) -> Option<(f64, Box<RawValue>)> {
    let CapturedValue::Number(text) = value else {
        return None;
    };
    let number: f64 = text.parse().ok()?;
    let written = RawValue::from_string(text.clone()).ok()?;
    // A NaN is in no range.
    (0.0..=1.0).contains(&number).then_some((number, written))
}

#[cfg(test)]
mod tests;
