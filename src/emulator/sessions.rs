//! The emulator's liveness sessions: each is valid for five minutes and one use.
//!
//! The caller passes the time in, so nothing here waits or reads a clock. Memory is bounded: no
//! session is issued while [`MAX_SESSIONS`] are valid. It never prints a session id.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

/// Validity of a session, from its issue.
pub(super) const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Maximum number of valid sessions; each takes about 100 bytes.
const MAX_SESSIONS: usize = 200_000;
/// Codes of the actions: blink, head up, head down, turn left and right.
const ACTIONS: [char; 4] = ['0', '4', '5', '7'];
/// Random bytes of a session id, which is "S" and their hexadecimal digits.
const RANDOM_BYTES: usize = 11;

/// A new session.
pub(super) struct IssuedSession {
    pub(super) session_id: String,
    /// One digit for each action; no digit occurs twice.
    pub(super) code: String,
}

/// The operating system returned no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system returned no random bytes")]
pub(super) struct NoRandomBytes;

/// Why no session was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IssueError {
    /// [`MAX_SESSIONS`] are valid.
    #[error("too many valid sessions")]
    Full,
    #[error(transparent)]
    NoRandomBytes(#[from] NoRandomBytes),
}

/// All valid sessions.
#[derive(Default)]
pub(super) struct EmulatedSessions {
    valid: HashSet<String>,
    /// Ids in order of issue, and so of expiry. It also holds spent ids until they expire or
    /// [`EmulatedSessions::spend`] removes them.
    order: VecDeque<(Instant, String)>,
}

impl EmulatedSessions {
    /// Issues a session with `min..=max` actions (each 1 to 3).
    ///
    /// # Errors
    /// See [`IssueError`].
    pub(super) fn issue(
        &mut self,
        now: Instant,
        min: usize,
        max: usize,
    ) -> Result<IssuedSession, IssueError> {
        self.remove_expired(now);
        if self.valid.len() >= MAX_SESSIONS {
            return Err(IssueError::Full);
        }
        let session_id = format!("S{}", HEXLOWER.encode(&random::<RANDOM_BYTES>()?));
        let code = code(min, max)?;
        self.valid.insert(session_id.clone());
        self.order.push_back((now, session_id.clone()));
        Ok(IssuedSession { session_id, code })
    }

    /// Invalidates a session. Returns whether it was valid, which is true at most once for each id.
    pub(super) fn spend(&mut self, session_id: &str, now: Instant) -> bool {
        self.remove_expired(now);
        let was_valid = self.valid.remove(session_id);
        // Spent ids accumulate in the queue: remove them once they outnumber the valid ones.
        if self.order.len() > 1024 && self.order.len() / 2 > self.valid.len() {
            self.order.retain(|(_, id)| self.valid.contains(id));
        }
        was_valid
    }

    fn remove_expired(&mut self, now: Instant) {
        while let Some((issued, _)) = self.order.front() {
            if now.saturating_duration_since(*issued) < LIFETIME {
                return;
            }
            if let Some((_, id)) = self.order.pop_front() {
                self.valid.remove(&id);
            }
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomBytes> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomBytes)?;
    Ok(bytes)
}

/// Draws `min` to `max` distinct actions.
fn code(min: usize, max: usize) -> Result<String, NoRandomBytes> {
    let [length, picks @ ..] = random::<{ ACTIONS.len() + 1 }>()?;
    let spread = max.saturating_sub(min).saturating_add(1);
    let length = min.saturating_add(usize::from(length) % spread);
    let mut left = ACTIONS.to_vec();
    let mut code = String::new();
    for pick in picks.iter().take(length) {
        code.push(left.swap_remove(usize::from(*pick) % left.len()));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_valid_once() {
        let (mut sessions, now) = (EmulatedSessions::default(), Instant::now());
        let id = sessions.issue(now, 1, 3).unwrap().session_id;
        assert!(sessions.spend(&id, now));
        assert!(!sessions.spend(&id, now));
        assert!(!sessions.spend("S0123456789abcdef012345", now));
    }

    #[test]
    fn a_session_ends_five_minutes_after_issue() {
        let (mut sessions, start) = (EmulatedSessions::default(), Instant::now());
        let early = sessions.issue(start, 1, 3).unwrap().session_id;
        let late = sessions.issue(start, 1, 3).unwrap().session_id;
        assert!(sessions.spend(&early, start + LIFETIME - Duration::from_millis(1)));
        assert!(!sessions.spend(&late, start + LIFETIME));
    }

    #[test]
    fn ids_and_codes_have_the_documented_form() {
        let (mut sessions, now) = (EmulatedSessions::default(), Instant::now());
        let mut lengths = HashSet::new();
        for _ in 0..300 {
            let issued = sessions.issue(now, 1, 3).unwrap();
            let digits = issued.session_id.strip_prefix('S').unwrap();
            assert_eq!(digits.len(), 22);
            assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let distinct: HashSet<char> = issued.code.chars().collect();
            assert_eq!(distinct.len(), issued.code.len());
            assert!(distinct.iter().all(|digit| ACTIONS.contains(digit)));
            lengths.insert(issued.code.len());
        }
        assert_eq!(lengths, HashSet::from([1, 2, 3]));
        assert_eq!(sessions.issue(now, 2, 2).unwrap().code.len(), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut sessions, now) = (EmulatedSessions::default(), Instant::now());
        for _ in 0..5_000 {
            let id = sessions.issue(now, 1, 3).unwrap().session_id;
            sessions.spend(&id, now);
        }
        assert!(sessions.order.len() < 2_000, "spent sessions are removed");
        for index in 0..MAX_SESSIONS {
            sessions.valid.insert(index.to_string());
        }
        assert_eq!(sessions.issue(now, 1, 3).err(), Some(IssueError::Full));
    }
}
