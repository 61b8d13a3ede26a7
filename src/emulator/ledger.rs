//! What the emulator saw, for tests to compare with, and the two things a test may change while it runs.
//!
//! Keeps counts, and of the last request its digest, length and header names. Never keeps a body,
//! a key, a session id or a header's value other than `Host` and `Content-Type`.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::scenario::Scenario;

/// Counts and memories of a running emulator. Shared with it; readable at any time, also after it stopped.
pub struct Ledger(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    session_calls: u64,
    verify_calls: u64,
    authorization_failures: u64,
    last: Option<Seen>,
    scenario: Scenario,
    ahead: Duration,
}

/// The last request that was read to its end.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) body_sha256: [u8; 32],
    pub(super) body_length: u64,
    pub(super) header_names: Vec<String>,
    pub(super) host: Option<String>,
    pub(super) content_type: Option<String>,
}

/// One reading of the emulator's clocks.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    /// Seconds.
    pub(super) unix: i64,
}

impl Ledger {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self(Mutex::new(Pages {
            scenario,
            ..Pages::default()
        }))
    }

    /// Calls of `sessioncode` whose signature was good, whatever the answer.
    pub fn session_calls(&self) -> u64 {
        self.pages().session_calls
    }

    /// Calls of `verify` whose signature was good, whatever the answer.
    pub fn verify_calls(&self) -> u64 {
        self.pages().verify_calls
    }

    /// Requests refused with 401 or, for their date, with 403.
    pub fn signature_failures(&self) -> u64 {
        self.pages().authorization_failures
    }

    /// SHA-256 of the last body that was read to its end. A body whose token names another account is not kept or hashed.
    pub fn last_body_sha256(&self) -> Option<[u8; 32]> {
        self.pages().last.as_ref().map(|seen| seen.body_sha256)
    }

    /// Bytes of that body.
    pub fn last_body_length(&self) -> Option<u64> {
        self.pages().last.as_ref().map(|seen| seen.body_length)
    }

    /// Names of that request's headers in lower case, one entry for each line.
    pub fn last_header_names(&self) -> Vec<String> {
        self.pages()
            .last
            .as_ref()
            .map(|seen| seen.header_names.clone())
            .unwrap_or_default()
    }

    /// That request's `Host`.
    pub fn last_host(&self) -> Option<String> {
        self.pages()
            .last
            .as_ref()
            .and_then(|seen| seen.host.clone())
    }

    /// That request's `Content-Type`.
    pub fn last_content_type(&self) -> Option<String> {
        self.pages()
            .last
            .as_ref()
            .and_then(|seen| seen.content_type.clone())
    }

    /// Changes what verifies are answered, from the next one on.
    pub fn set_scenario(&self, scenario: Scenario) {
        self.pages().scenario = scenario;
    }

    /// What verifies are answered.
    pub fn scenario(&self) -> Scenario {
        self.pages().scenario
    }

    /// Moves the emulator's clocks forward, so that sessions age without waiting. Dates in
    /// signatures are judged by the moved clock too: 15 minutes and they are stale.
    pub fn advance_clock(&self, by: Duration) {
        let mut pages = self.pages();
        pages.ahead = pages.ahead.saturating_add(by);
    }

    pub(super) fn now(&self) -> Now {
        let ahead = self.pages().ahead;
        let instant = Instant::now();
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            instant: instant.checked_add(ahead).unwrap_or(instant),
            unix: i64::try_from(since_1970.saturating_add(ahead).as_secs()).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn count_session_call(&self) {
        let mut pages = self.pages();
        pages.session_calls = pages.session_calls.saturating_add(1);
    }

    pub(super) fn count_verify_call(&self) {
        let mut pages = self.pages();
        pages.verify_calls = pages.verify_calls.saturating_add(1);
    }

    pub(super) fn count_authorization_failure(&self) {
        let mut pages = self.pages();
        pages.authorization_failures = pages.authorization_failures.saturating_add(1);
    }

    pub(super) fn remember(&self, seen: Seen) {
        self.pages().last = Some(seen);
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Each change above is complete in itself, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages();
        out.debug_struct("Ledger")
            .field("session_calls", &pages.session_calls)
            .field("verify_calls", &pages.verify_calls)
            .field("signature_failures", &pages.authorization_failures)
            .field(
                "last_body_length",
                &pages.last.as_ref().map(|seen| seen.body_length),
            )
            .field("scenario", &pages.scenario)
            .finish()
    }
}
