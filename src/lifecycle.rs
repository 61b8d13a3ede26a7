//! Whether the gateway is ready, and how far a stop has progressed: flags that every part reads.
//!
//! Relies on no other module. Never waits for anything itself.

use std::{
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

/// The readiness checks and the progress of a stop.
#[derive(Debug)]
pub struct Readiness {
    keys: Mutex<IssuerKeys>,
    /// Whether the audit log is written; `None` if it is not required.
    audit: Mutex<Option<bool>>,
    /// Notified when one of the checks may have changed.
    changed: Notify,
    draining: AtomicBool,
    grace_period_over: AtomicBool,
    /// Notified when the grace period is over.
    ended: Notify,
}

/// Which issuers have keys to verify tokens with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerKeys {
    /// The number of issuers that have keys.
    pub known: usize,
    /// The issuers that have none. Their tokens are refused, but not those of the others.
    pub missing: Vec<Arc<str>>,
}

impl IssuerKeys {
    /// One issuer with keys is enough: its users can be served.
    pub fn suffice(&self) -> bool {
        self.known > 0 || self.missing.is_empty()
    }

    fn check(&self) -> &'static str {
        match (self.suffice(), self.missing.is_empty()) {
            (false, _) => "unknown",
            (true, false) => "partial",
            (true, true) => "ok",
        }
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// A gateway whose keys are known, and that is not stopping.
    pub const fn new() -> Self {
        Self {
            keys: Mutex::new(IssuerKeys {
                known: 0,
                missing: Vec::new(),
            }),
            audit: Mutex::new(None),
            changed: Notify::const_new(),
            draining: AtomicBool::new(false),
            grace_period_over: AtomicBool::new(false),
            ended: Notify::const_new(),
        }
    }

    /// Asks which issuers have keys. Of several calls at once, the last one asks last, so that no
    /// older state replaces a newer one.
    pub fn update_keys(&self, keys: impl FnOnce() -> IssuerKeys) {
        let mut current = self.keys();
        *current = keys();
        drop(current);
        self.changed.notify_waiters();
    }

    /// Resolves when no issuer lacks keys.
    pub async fn keys_known(&self) {
        self.until(|| self.keys().missing.is_empty()).await;
    }

    /// Resolves when all checks pass. Never does once a stop has begun.
    pub async fn ready(&self) {
        self.until(|| self.is_ready()).await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            // Checked after the registration, so a notification in between is not lost.
            if holds() {
                return;
            }
            changed.await;
        }
    }

    /// The issuers without keys.
    pub fn missing_issuers(&self) -> Vec<Arc<str>> {
        self.keys().missing.clone()
    }

    fn keys(&self) -> MutexGuard<'_, IssuerKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether the audit log is written; `None` if it is not required. Of several calls at
    /// once, the last one asks last.
    pub fn update_audit(&self, written: impl FnOnce() -> Option<bool>) {
        let mut current = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        *current = written();
        drop(current);
        self.changed.notify_waiters();
    }

    fn audit(&self) -> Option<bool> {
        *self.audit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the begin of a stop, which is final.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether a stop has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Ends the grace period of a stop: requests still in flight get a 503.
    pub fn end_grace_period(&self) {
        self.grace_period_over.store(true, Ordering::SeqCst);
        self.ended.notify_waiters();
    }

    /// Whether the grace period of a stop is over.
    pub fn is_grace_period_over(&self) -> bool {
        self.grace_period_over.load(Ordering::SeqCst)
    }

    /// Resolves when the grace period of a stop is over.
    pub async fn grace_period_over(&self) {
        let ended = self.ended.notified();
        // Registered before the check, so a notification in between is not lost.
        if !self.is_grace_period_over() {
            ended.await;
        }
    }

    /// Whether all checks pass.
    pub fn is_ready(&self) -> bool {
        self.keys().suffice() && self.audit() != Some(false) && !self.is_draining()
    }

    /// The checks as JSON:
    /// `{"ready":…,"checks":{"keys":"ok"|"partial"|"unknown","drain":"ok"|"draining"}}`, and the
    /// list `issuers_without_keys` if there are any. With an audit log that is required, the checks
    /// have `"audit":"ok"|"failing"`.
    pub fn to_json(&self) -> String {
        let keys = self.keys().clone();
        let draining = self.is_draining();
        let audit = self.audit();
        let ready = keys.suffice() && audit != Some(false) && !draining;
        let check = keys.check();
        let drain = if draining { "draining" } else { "ok" };
        let mut json =
            format!(r#"{{"ready":{ready},"checks":{{"keys":"{check}","drain":"{drain}""#);
        json.push_str(match audit {
            None => "}",
            Some(true) => r#","audit":"ok"}"#,
            Some(false) => r#","audit":"failing"}"#,
        });
        if !keys.missing.is_empty() {
            let missing: Vec<_> = keys.missing.iter().map(|issuer| &**issuer).collect();
            let missing = serde_json::Value::from(missing);
            // Writing to a string never fails.
            let _ = write!(json, r#","issuers_without_keys":{missing}"#);
        }
        json + "}"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_issuer_with_keys_is_enough_and_the_others_are_named() {
        let readiness = Readiness::new();
        let json = |known, missing: &[&str]| {
            let missing = missing.iter().map(|issuer| (*issuer).into()).collect();
            readiness.update_keys(|| IssuerKeys { known, missing });
            let json: serde_json::Value = serde_json::from_str(&readiness.to_json()).unwrap();
            assert_eq!(json["ready"], readiness.is_ready());
            (
                readiness.is_ready(),
                json["checks"]["keys"].as_str().unwrap().to_owned(),
                json["issuers_without_keys"].to_string(),
            )
        };
        let expected = |ready, keys: &str, missing: &str| (ready, keys.into(), missing.into());
        assert_eq!(json(2, &[]), expected(true, "ok", "null"));
        let named = r#"["https://b/\"x"]"#;
        assert_eq!(
            json(1, &["https://b/\"x"]),
            expected(true, "partial", named)
        );
        assert_eq!(
            json(0, &["a", "b"]),
            expected(false, "unknown", r#"["a","b"]"#)
        );
        readiness.update_keys(|| IssuerKeys {
            known: 1,
            missing: Vec::new(),
        });
        readiness.start_draining();
        assert!(!readiness.is_ready());
    }

    #[tokio::test]
    async fn a_wait_for_readiness_ends_when_every_check_passes() {
        let readiness = Arc::new(Readiness::new());
        let keys = |known| IssuerKeys {
            known,
            missing: vec!["a".into()],
        };
        readiness.update_keys(|| keys(0));
        readiness.update_audit(|| Some(false));
        let waiting = tokio::spawn({
            let readiness = Arc::clone(&readiness);
            async move { readiness.ready().await }
        });
        readiness.update_keys(|| keys(1));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the audit log fails");
        readiness.update_audit(|| Some(true));
        waiting.await.unwrap();
    }
}
