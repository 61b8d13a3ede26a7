//! Liveness sessions as the emulator hands them out: five minutes, one use.
//!
//! Time is passed in, so nothing here waits or reads a clock. Memory is bounded: past
//! [`MOST_SESSIONS`] live ones no more are issued. Never prints a session id.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

/// How long a session lives, from issue.
pub(super) const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The most sessions that can be live at once; each takes about 100 bytes.
const MOST_SESSIONS: usize = 200_000;
/// Blink, head up, head down, turn left and right.
const ACTIONS: [char; 4] = ['0', '4', '5', '7'];
/// "S" and the hex digits of this many bytes.
const RANDOM_BYTES: usize = 11;

/// A session just issued.
pub(super) struct Issued {
    pub(super) session_id: String,
    /// One digit an action, none twice.
    pub(super) code: String,
}

/// Why none was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotIssued {
    /// Too many are live.
    Full,
    /// The system has no randomness.
    NoRandomness,
}

/// Every session that is live.
#[derive(Default)]
pub(super) struct Sessions {
    live: HashSet<String>,
    /// In order of issue, so also of expiry. Spent ones stay until they expire or the queue is tidied.
    order: VecDeque<(Instant, String)>,
}

impl Sessions {
    /// Issues a session with `fewest..=most` actions (each 1 to 3).
    ///
    /// # Errors
    /// See [`NotIssued`].
    pub(super) fn issue(
        &mut self,
        now: Instant,
        fewest: usize,
        most: usize,
    ) -> Result<Issued, NotIssued> {
        self.forget_expired(now);
        if self.live.len() >= MOST_SESSIONS {
            return Err(NotIssued::Full);
        }
        let session_id = format!("S{}", HEXLOWER.encode(&random::<RANDOM_BYTES>()?));
        let code = code(fewest, most)?;
        self.live.insert(session_id.clone());
        self.order.push_back((now, session_id.clone()));
        Ok(Issued { session_id, code })
    }

    /// Takes the session out of circulation. True if it was live, at most once for each id.
    pub(super) fn spend(&mut self, session_id: &str, now: Instant) -> bool {
        self.forget_expired(now);
        let was_live = self.live.remove(session_id);
        // Spent ids pile up in the queue; tidy it once they are most of it.
        if self.order.len() > 1024 && self.order.len() / 2 > self.live.len() {
            self.order.retain(|(_, id)| self.live.contains(id));
        }
        was_live
    }

    fn forget_expired(&mut self, now: Instant) {
        while let Some((issued, _)) = self.order.front() {
            if now.saturating_duration_since(*issued) < LIFETIME {
                return;
            }
            if let Some((_, id)) = self.order.pop_front() {
                self.live.remove(&id);
            }
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], NotIssued> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NotIssued::NoRandomness)?;
    Ok(bytes)
}

/// Draws the actions one by one, without putting them back.
fn code(fewest: usize, most: usize) -> Result<String, NotIssued> {
    let [length, picks @ ..] = random::<{ ACTIONS.len() + 1 }>()?;
    let spread = most.saturating_sub(fewest).saturating_add(1);
    let length = fewest.saturating_add(usize::from(length) % spread);
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
    fn a_session_is_good_once() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.issue(now, 1, 3).unwrap().session_id;
        assert!(sessions.spend(&id, now));
        assert!(!sessions.spend(&id, now));
        assert!(!sessions.spend("S0123456789abcdef012345", now));
    }

    #[test]
    fn a_session_ends_five_minutes_after_issue() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let early = sessions.issue(start, 1, 3).unwrap().session_id;
        let late = sessions.issue(start, 1, 3).unwrap().session_id;
        assert!(sessions.spend(&early, start + LIFETIME - Duration::from_millis(1)));
        assert!(!sessions.spend(&late, start + LIFETIME));
    }

    #[test]
    fn ids_and_codes_have_the_documented_form() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
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
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        for _ in 0..5_000 {
            let id = sessions.issue(now, 1, 3).unwrap().session_id;
            sessions.spend(&id, now);
        }
        assert!(sessions.order.len() < 2_000, "spent sessions are forgotten");
        for index in 0..MOST_SESSIONS {
            sessions.live.insert(index.to_string());
        }
        assert_eq!(sessions.issue(now, 1, 3).err(), Some(NotIssued::Full));
    }
}
