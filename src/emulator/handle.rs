//! A handle to a running emulator: it counts calls, and changes the scenario and the clock.
//!
//! Of the last request it keeps the digest and length of the body, the header names, `Host` and
//! `Content-Type`. It never keeps a body, a key, a session id or the value of another header.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::scenario::Scenario;

/// Observes and controls an emulator while it runs; the counts stay readable after it has stopped.
pub struct EmulatorHandle(Mutex<HandleState>);

#[derive(Default)]
struct HandleState {
    session_calls: u64,
    verify_calls: u64,
    billed_calls: u64,
    authorization_failures: u64,
    last: Option<LastRequest>,
    scenario: Scenario,
    new_members: bool,
    clock_offset: Duration,
}

/// The last request whose body was received completely.
#[derive(Clone)]
pub(super) struct LastRequest {
    pub(super) body_sha256: [u8; 32],
    pub(super) body_length: u64,
    pub(super) header_names: Vec<String>,
    pub(super) host: Option<String>,
    pub(super) content_type: Option<String>,
}

/// One reading of the emulator's clocks.
#[derive(Clone, Copy)]
pub(super) struct EmulatorTime {
    pub(super) instant: Instant,
    /// Unix time, in seconds.
    pub(super) unix: i64,
}

impl EmulatorHandle {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self(Mutex::new(HandleState {
            scenario,
            ..HandleState::default()
        }))
    }

    /// Number of `sessioncode` calls with a valid signature, whatever their outcome.
    pub fn session_calls(&self) -> u64 {
        self.state().session_calls
    }

    /// Number of `verify` calls with a valid signature, whatever their outcome.
    pub fn verify_calls(&self) -> u64 {
        self.state().verify_calls
    }

    /// Number of `verify` calls that were billed: those with a result, and those whose error says
    /// that the video was judged.
    pub fn billed_calls(&self) -> u64 {
        self.state().billed_calls
    }

    /// Number of requests rejected with status 401, or with 403 for their date.
    pub fn signature_failures(&self) -> u64 {
        self.state().authorization_failures
    }

    /// SHA-256 of the last body that was received completely. A body whose token names another
    /// account is neither kept nor hashed.
    pub fn last_body_sha256(&self) -> Option<[u8; 32]> {
        self.state().last.as_ref().map(|last| last.body_sha256)
    }

    /// Length of that body, in bytes.
    pub fn last_body_length(&self) -> Option<u64> {
        self.state().last.as_ref().map(|last| last.body_length)
    }

    /// Header names of that request in lower case, one for each header line.
    pub fn last_header_names(&self) -> Vec<String> {
        self.state()
            .last
            .as_ref()
            .map(|last| last.header_names.clone())
            .unwrap_or_default()
    }

    /// `Host` of that request.
    pub fn last_host(&self) -> Option<String> {
        self.state()
            .last
            .as_ref()
            .and_then(|last| last.host.clone())
    }

    /// `Content-Type` of that request.
    pub fn last_content_type(&self) -> Option<String> {
        self.state()
            .last
            .as_ref()
            .and_then(|last| last.content_type.clone())
    }

    /// Changes the outcome of verifies, from the next one on.
    pub fn set_scenario(&self, scenario: Scenario) {
        self.state().scenario = scenario;
    }

    /// The current outcome of verifies.
    pub fn scenario(&self) -> Scenario {
        self.state().scenario
    }

    /// Adds members to the responses of verifies that Qiniu does not send today: pictures, whole or
    /// in small pieces, under names that no client knows.
    pub fn set_new_members(&self, new_members: bool) {
        self.state().new_members = new_members;
    }

    pub(super) fn has_new_members(&self) -> bool {
        self.state().new_members
    }

    /// Moves the emulator's clocks forward, so that sessions expire without waiting. The dates of
    /// signatures are compared with the same clock: after 15 minutes they are stale.
    pub fn advance_clock(&self, by: Duration) {
        let mut state = self.state();
        state.clock_offset = state.clock_offset.saturating_add(by);
    }

    pub(super) fn now(&self) -> EmulatorTime {
        let offset = self.state().clock_offset;
        let instant = Instant::now();
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        EmulatorTime {
            instant: instant.checked_add(offset).unwrap_or(instant),
            unix: i64::try_from(since_1970.saturating_add(offset).as_secs()).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn count_session_call(&self) {
        let mut state = self.state();
        state.session_calls = state.session_calls.saturating_add(1);
    }

    pub(super) fn count_verify_call(&self) {
        let mut state = self.state();
        state.verify_calls = state.verify_calls.saturating_add(1);
    }

    pub(super) fn count_billed_call(&self) {
        let mut state = self.state();
        state.billed_calls = state.billed_calls.saturating_add(1);
    }

    pub(super) fn count_authorization_failure(&self) {
        let mut state = self.state();
        state.authorization_failures = state.authorization_failures.saturating_add(1);
    }

    pub(super) fn remember(&self, last: LastRequest) {
        self.state().last = Some(last);
    }

    fn state(&self) -> MutexGuard<'_, HandleState> {
        // Each change above is atomic, so a panic elsewhere leaves no partial update behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EmulatorHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        out.debug_struct("EmulatorHandle")
            .field("session_calls", &state.session_calls)
            .field("verify_calls", &state.verify_calls)
            .field("billed_calls", &state.billed_calls)
            .field("signature_failures", &state.authorization_failures)
            .field(
                "last_body_length",
                &state.last.as_ref().map(|last| last.body_length),
            )
            .field("scenario", &state.scenario)
            .finish()
    }
}
