//! Whether the gateway can serve, and how far a stop has come: two flags that every part reads.
//!
//! Relies on nothing else of ours. Never waits for anything itself.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether the gateway can do its job; each check is one flag.
#[derive(Debug)]
pub struct Readiness {
    keys_known: AtomicBool,
    draining: AtomicBool,
    /// The time for requests under way is over.
    over: AtomicBool,
    told: Notify,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Keys known, not draining.
    pub const fn new() -> Self {
        Self {
            keys_known: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            over: AtomicBool::new(false),
            told: Notify::const_new(),
        }
    }

    /// Says whether every identity has keys to check tokens with.
    pub fn set_keys_known(&self, known: bool) {
        self.keys_known.store(known, Ordering::Relaxed);
    }

    /// The gateway has begun to stop; there is no way back.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the gateway has begun to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The time for requests under way is over: who still waits for one is told no.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Whether the time for requests under way is over.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Resolves when the time for requests under way is over.
    pub async fn ended(&self) {
        let told = self.told.notified();
        // Whoever comes after the notification sees the flag, whoever comes before it is woken.
        if !self.is_over() {
            told.await;
        }
    }

    /// Whether all checks pass.
    pub fn is_ready(&self) -> bool {
        self.keys_known.load(Ordering::Relaxed) && !self.is_draining()
    }

    /// `{"ready":…,"checks":{"keys":"ok"|"unknown","drain":"ok"|"draining"}}`
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
