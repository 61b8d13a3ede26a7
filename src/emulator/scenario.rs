//! What the emulator answers to a verify whose session and video are good.
//!
//! Pure data: parsed from the command line or set by a test. Never judges the video's content.

use std::{fmt, str::FromStr};

/// The outcome of every verify that gets as far as being judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scenario {
    /// The actions were seen and the score is above every threshold.
    #[default]
    Pass,
    /// A high score, but the actions were not seen.
    ActionFail,
    /// The actions were seen, but the score is below every threshold.
    LowScore,
    /// As `Pass`, but with high synthetic-image scores (visible only if `spoofing` was asked for).
    Spoof,
    /// HTTP 200 with this `error_code` (not 0) and no result.
    Error(u32),
}

/// The text is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScenario;

impl fmt::Display for UnknownScenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("expected pass, action-fail, low-score, spoof, or error:CODE with a number other than 0")
    }
}

impl std::error::Error for UnknownScenario {}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(text: &str) -> Result<Self, UnknownScenario> {
        match text {
            "pass" => Ok(Self::Pass),
            "action-fail" => Ok(Self::ActionFail),
            "low-score" => Ok(Self::LowScore),
            "spoof" => Ok(Self::Spoof),
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
            Self::Error(code) => write!(out, "error:{code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        for scenario in [
            Scenario::Pass,
            Scenario::ActionFail,
            Scenario::LowScore,
            Scenario::Spoof,
            Scenario::Error(216_501),
        ] {
            assert_eq!(scenario.to_string().parse(), Ok(scenario));
        }
    }

    #[test]
    fn anything_else_is_refused() {
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
