//! Whether the gateway is ready, and how far a stop has progressed: flags that every part reads.
//!
//! Relies on no other module. Never waits for anything itself.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The readiness checks and the progress of a stop.
#[derive(Debug)]
pub struct Readiness {
    keys_known: AtomicBool,
    draining: AtomicBool,
    grace_period_over: AtomicBool,
    /// Notified when the grace period is over.
    ended: Notify,
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
            keys_known: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            grace_period_over: AtomicBool::new(false),
            ended: Notify::const_new(),
        }
    }

    /// Sets whether every issuer has keys to verify tokens with.
    pub fn set_keys_known(&self, known: bool) {
        self.keys_known.store(known, Ordering::Relaxed);
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
        self.keys_known.load(Ordering::Relaxed) && !self.is_draining()
    }

    /// The checks as JSON:
    /// `{"ready":…,"checks":{"keys":"ok"|"unknown","drain":"ok"|"draining"}}`.
    pub fn to_json(&self) -> String {
        let keys = if self.keys_known.load(Ordering::Relaxed) {
            "ok"
        } else {
            "unknown"
        };
        let drain = if self.is_draining() { "draining" } else { "ok" };
        let ready = keys == "ok" && drain == "ok";
        format!(r#"{{"ready":{ready},"checks":{{"keys":"{keys}","drain":"{drain}"}}}}"#)
    }
}
