//! Decides whether a response passes. Pure: scores and a rule in, a judgement out.
//!
//! A pass requires `error_code` 0, `action_verify` "pass", a score strictly above the chosen
//! threshold and, if the operator set a limit, a synthetic-image score not above it. A member that
//! is missing, of another type (a number in quotes, for example) or out of range never passes.

use serde_json::value::RawValue;

use crate::{json::sink::CapturedValue, qiniu::scores::LivenessScores};

/// The value of `max_spoofing` that disables its check.
pub const ANY_SPOOFING: f64 = 1.0;
/// Maximum length of a `serverlogid` in a verdict, in bytes.
const MAX_LOG_ID: usize = 64;

/// The threshold of Qiniu's that decides. Its name is its false rejection rate: the share of live
/// people that it rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreThreshold {
    /// 1 of 10,000.
    Frr1e4,
    /// 1 of 1,000.
    Frr1e3,
    /// 1 of 100.
    Frr1e2,
}

impl ScoreThreshold {
    /// All thresholds, from the most lenient to the strictest.
    pub const ALL: [Self; 3] = [Self::Frr1e4, Self::Frr1e3, Self::Frr1e2];

    /// Its name in Qiniu's responses and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frr1e4 => "frr_1e-4",
            Self::Frr1e3 => "frr_1e-3",
            Self::Frr1e2 => "frr_1e-2",
        }
    }
}

/// The rule of a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassRule {
    /// The threshold that the score must exceed.
    pub threshold: ScoreThreshold,
    /// Maximum synthetic-image score. At 1.0 the score is not checked and may be missing.
    pub max_spoofing: f64,
}

/// The judgement of a response. An unfit member is `None`.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Whether all conditions of a pass hold.
    pub passed: bool,
    /// `"pass"` or `"fail"`.
    pub action_verify: Option<&'static str>,
    /// The liveness score from 0 to 1, as Qiniu wrote it.
    pub score: Option<Box<RawValue>>,
    /// The threshold that decided.
    pub threshold: ScoreThreshold,
    /// Its value, from 0 to 1, as Qiniu wrote it.
    pub threshold_value: Option<Box<RawValue>>,
    /// The synthetic-image score from 0 to 1, as Qiniu wrote it.
    pub maxspoofing: Option<Box<RawValue>>,
    /// Qiniu's id of the request, as digits or text.
    pub serverlogid: Option<String>,
}

/// Judges a response.
pub fn judge(scores: &LivenessScores, rule: &PassRule) -> Judgement {
    let success = matches!(&scores.error_code, CapturedValue::Number(code) if code == "0");
    let action_verify = ["pass", "fail"].into_iter().find(
        |known| matches!(&scores.action_verify, CapturedValue::String(text) if text == known),
    );
    let score = fraction(&scores.score);
    let threshold = fraction(&scores.threshold);
    let maxspoofing = fraction(&scores.maxspoofing);
    let alive = match (&score, &threshold) {
        (Some((score, _)), Some((threshold, _))) => score > threshold,
        _ => false,
    };
    let genuine = rule.max_spoofing >= ANY_SPOOFING
        || maxspoofing
            .as_ref()
            .is_some_and(|(spoofing, _)| *spoofing <= rule.max_spoofing);
    let text = |number: Option<(f64, Box<RawValue>)>| number.map(|(_, text)| text);
    Judgement {
        passed: success && action_verify == Some("pass") && alive && genuine,
        action_verify,
        score: text(score),
        threshold: rule.threshold,
        threshold_value: text(threshold),
        maxspoofing: text(maxspoofing),
        serverlogid: match &scores.serverlogid {
            CapturedValue::Number(text) | CapturedValue::String(text)
                if text.len() <= MAX_LOG_ID =>
            {
                Some(text.clone())
            }
            _ => None,
        },
    }
}

/// A number from 0 to 1, and its text. Rounding to `f64` keeps the order of numbers, so a number
/// that is greater after rounding is truly greater.
fn fraction(value: &CapturedValue) -> Option<(f64, Box<RawValue>)> {
    let CapturedValue::Number(text) = value else {
        return None;
    };
    let number: f64 = text.parse().ok()?;
    let text = RawValue::from_string(text.clone()).ok()?;
    // No range contains NaN.
    (0.0..=1.0).contains(&number).then_some((number, text))
}

#[cfg(test)]
mod tests;
