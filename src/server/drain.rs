//! The end of the gateway: the signal for it, and the wait for what is under way.
//!
//! Relies on connections noticing by themselves that the gateway stops. Never waits longer than `drain_timeout` and a
//! second.

use std::{future::Future, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::timeout,
};

use crate::lifecycle::Readiness;

/// Time for the answers to requests that were given up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How the stop went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Connections that were still open when the time was up, and were cut.
    pub cut: usize,
    /// Calls to Qiniu that were given up: nobody will know what came of them.
    pub lost: usize,
}

/// Resolves on the first SIGTERM or SIGINT after the call, polled or not: one that comes while the gateway starts is not
/// lost. Where a signal can't be listened for, that is logged and the system's default (to end at once) stays.
pub fn termination_signal() -> impl Future<Output = ()> {
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    async move {
        tokio::select! {
            () = first(terminate) => {}
            () = first(interrupt) => {}
        }
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

/// Waits for the tasks for at most `limit`; then the requests under way are told no, and what is still there is cut.
pub(super) async fn wait_for(
    mut tasks: JoinSet<()>,
    limit: Duration,
    readiness: &Readiness,
) -> DrainOutcome {
    if timeout(limit, all(&mut tasks)).await.is_ok() {
        return DrainOutcome::default();
    }
    while tasks.try_join_next().is_some() {}
    let cut = tasks.len();
    readiness.end();
    if timeout(LAST_WORDS, all(&mut tasks)).await.is_err() {
        tasks.shutdown().await;
    }
    DrainOutcome { cut, lost: 0 }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_counts_before_anybody_waits_for_it() {
        let stop = termination_signal();
        let me = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &me])
            .status();
        assert!(sent.unwrap().success());
        timeout(Duration::from_secs(10), stop).await.unwrap();
    }
}
