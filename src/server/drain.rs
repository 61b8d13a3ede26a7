//! When to stop.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves on SIGTERM or SIGINT. Signals are watched from the call on, so none is lost while the gateway starts.
pub fn termination() -> impl Future<Output = ()> + Send {
    let mut terminate = signal(SignalKind::terminate());
    let mut interrupt = signal(SignalKind::interrupt());
    async move {
        match (&mut terminate, &mut interrupt) {
            (Ok(terminate), Ok(interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ => {
                tracing::error!("signals can't be watched; only SIGKILL will stop this process");
                pending().await
            }
        }
    }
}
