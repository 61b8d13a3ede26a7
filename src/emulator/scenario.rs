//! The outcome of a verify whose session and video are valid.
//!
//! Plain data: parsed from the command line, or set while the emulator runs. It never depends on
//! the video.

use std::{fmt, str::FromStr};

/// The outcome of every verify whose session and video are valid; [`Scenario::Busy`], of every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scenario {
    /// The actions are recognised and the score is above every threshold.
    #[default]
    Pass,
    /// The score is high, but the actions are not recognised.
    ActionFail,
    /// The actions are recognised, but the score is below every threshold.
    LowScore,
    /// As `Pass`, but with high synthetic-image scores. They are in the response only if
    /// `face_field` asks for `spoofing`.
    Spoof,
    /// Qiniu has no capacity: a status that is not 200, and no session is spent.
    Busy,
    /// HTTP status 200 with this `error_code`, which is not 0, and no result.
    Error(u32),
}

/// The text names no scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected pass, action-fail, low-score, spoof, busy, or error:CODE, for example error:216501"
)]
pub struct UnknownScenario;

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(text: &str) -> Result<Self, UnknownScenario> {
        match text {
            "pass" => Ok(Self::Pass),
            "action-fail" => Ok(Self::ActionFail),
            "low-score" => Ok(Self::LowScore),
            "spoof" => Ok(Self::Spoof),
            "busy" => Ok(Self::Busy),
            _ => {
                let digits = text.strip_prefix("error:").ok_or(UnknownScenario)?;
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
                let code: u32 = digits.parse().map_err(|_| UnknownScenario)?;
                if plain && code != 0 {
                    Ok(Self::Error(code))
                } else {
                    Err(UnknownScenario)
                }
            }
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => out.write_str("pass"),
            Self::ActionFail => out.write_str("action-fail"),
            Self::LowScore => out.write_str("low-score"),
            Self::Spoof => out.write_str("spoof"),
            Self::Busy => out.write_str("busy"),
            Self::Error(code) => write!(out, "error:{code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_scenario_parses_to_itself() {
        for scenario in [
            Scenario::Pass,
            Scenario::ActionFail,
            Scenario::LowScore,
            Scenario::Spoof,
            Scenario::Busy,
            Scenario::Error(216_501),
        ] {
            assert_eq!(scenario.to_string().parse(), Ok(scenario));
        }
    }

    #[test]
    fn any_other_text_is_refused() {
        for text in [
            "",
            "Pass",
            "error",
            "error:",
            "error:0",
            "error:-1",
            "error:+1",
            "error:x",
            "error:4294967296",
        ] {
            assert_eq!(text.parse::<Scenario>(), Err(UnknownScenario), "{text}");
        }
    }
}
