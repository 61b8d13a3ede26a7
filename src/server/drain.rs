//! The end of the gateway: the signal for it, and the wait for what is under way.
//!
//! Relies on connections noticing by themselves that the gateway stops. Never waits longer than `drain_timeout`.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::timeout,
};

/// How the stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Connections that were still open when the time was up, and were cut.
    pub cut: usize,
}

/// Resolves on the first SIGTERM or SIGINT after it is first polled. Where a signal can't be listened for, that is
/// logged and the system's default (to end at once) stays.
pub async fn termination() {
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    tokio::select! {
        () = first(terminate) => {}
        () = first(interrupt) => {}
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind)
        .inspect_err(|error| tracing::error!(%error, "can't listen for a signal to stop"))
        .ok()
}

async fn first(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Waits for the tasks for at most `limit`, then cuts the rest.
pub(super) async fn wait_for(mut tasks: JoinSet<()>, limit: Duration) -> DrainOutcome {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(limit, all).await.is_ok() {
        return DrainOutcome { cut: 0 };
    }
    while tasks.try_join_next().is_some() {}
    let cut = tasks.len();
    tasks.shutdown().await;
    DrainOutcome { cut }
}
