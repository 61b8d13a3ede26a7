//! Tests that open hundreds of connections run one after the other.
//!
//! All tests share the process's file descriptors. Any test without a crowd needs some 30 at a
//! time.

use liveness_gateway::descriptors;
use tokio::sync::{Mutex, MutexGuard};

static CROWD: Mutex<()> = Mutex::const_new(());

/// Waits until no other test has a crowd of connections. Keep the guard to the end of the test.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    let alone = CROWD.lock().await;
    // The usual soft limit of 1024 is not enough for a crowd and all others.
    descriptors::raise_limit();
    alone
}
