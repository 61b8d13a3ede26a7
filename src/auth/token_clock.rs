//! What the times in an issuer's tokens say about clocks: a log line when good tokens are refused
//! for their times alone, with a suggested fix.
//!
//! Relies on its caller to pass tokens whose signature was verified, so that nobody but the issuer
//! can provoke a line. Never decides whether a token is accepted, and logs nothing of one but by
//! how many seconds its time is off.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::refusal::AuthRefusal;
use crate::telemetry::repeated::RepeatedLines;

/// An expired token says nothing about clocks if another one was accepted this recently.
const RECENT: Duration = Duration::from_secs(300);
/// So many tokens in a row must have expired: one alone is likely to be an old one.
const EXPIRED_IN_A_ROW: u32 = 3;

/// The tokens of one issuer that were new to the gateway.
#[derive(Default)]
pub(super) struct TokenClock {
    seen: Mutex<SeenTokens>,
    lines: RepeatedLines,
}

#[derive(Default)]
struct SeenTokens {
    accepted: Option<Instant>,
    /// Since the last one that was accepted.
    expired: u32,
}

impl TokenClock {
    /// Notes a new token of `issuer`, and whether its claims were refused.
    pub(super) fn note(
        &self,
        issuer: &str,
        refusal: Option<AuthRefusal>,
        off_by: Option<Duration>,
    ) {
        let off_by_s = off_by.unwrap_or_default().as_secs();
        match refusal {
            None => self.accepted(Instant::now()),
            Some(AuthRefusal::Expired) if self.expired(Instant::now()) => {
                self.lines.log(AuthRefusal::Expired.reason(), |left_out| {
                    tracing::warn!(
                        issuer,
                        off_by_s,
                        left_out,
                        "tokens of the issuer have expired, and no new one was accepted lately: \
                         if its users get fresh tokens, this machine's clock is ahead or the \
                         issuer's is behind; synchronise them (NTP), or raise identity.leeway for \
                         a small difference"
                    );
                });
            }
            Some(refusal @ (AuthRefusal::NotYetValid | AuthRefusal::IssuedInFuture)) => {
                self.lines.log(refusal.reason(), |left_out| {
                    tracing::warn!(
                        issuer,
                        off_by_s,
                        left_out,
                        "a token of the issuer is from the future: this machine's clock is behind \
                         or the issuer's is ahead; synchronise them (NTP), or raise \
                         identity.leeway for a small difference"
                    );
                });
            }
            Some(_) => {}
        }
    }

    fn accepted(&self, now: Instant) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = SeenTokens {
            accepted: Some(now),
            expired: 0,
        };
    }

    /// Notes an expired token, and returns whether the clocks may be the cause.
    fn expired(&self, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.expired = seen.expired.saturating_add(1);
        let recent = |accepted| now.duration_since(accepted) < RECENT;
        seen.expired >= EXPIRED_IN_A_ROW && !seen.accepted.is_some_and(recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_expired_tokens_without_a_good_one_speak_of_clocks() {
        let (clock, start) = (TokenClock::default(), Instant::now());
        let expired = |seconds| clock.expired(start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 2, 3].map(expired), [false, false, true, true]);
        clock.accepted(start + Duration::from_secs(10));
        assert_eq!([11, 12, 13, 309].map(expired), [false; 4], "a good one");
        assert!(expired(310));
    }
}
