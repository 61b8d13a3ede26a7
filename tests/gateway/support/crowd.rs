//! Tests that open hundreds of connections run one after the other.
//!
//! All tests share the process's file descriptors, of which there are 1024 by default. Any other
//! test needs some 30 at a time.

use tokio::sync::{Mutex, MutexGuard};

static CROWD: Mutex<()> = Mutex::const_new(());

/// Waits until no other test has a crowd of connections. Keep the guard to the end of the test.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    CROWD.lock().await
}
