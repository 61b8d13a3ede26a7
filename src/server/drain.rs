//! The end of the process: the signal to stop, and the wait for requests in flight.
//!
//! Relies on connections to notice the stop. Never waits longer than `drain_timeout` plus one
//! second.

use std::{future::Future, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::timeout,
};

use crate::lifecycle::Readiness;

/// Time to send the responses to requests that `drain_timeout` ended.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Result of a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Connections that were still open after `drain_timeout`, and were closed.
    pub cut: usize,
    /// Calls to Qiniu that were abandoned; their outcome is unknown.
    pub lost: usize,
}

/// Resolves at the first SIGTERM or SIGINT after the call, polled or not, so that a signal during
/// the start is not lost. If the system refuses a handler, this is logged, and the signal ends the
/// process at once.
pub fn termination_signal() -> impl Future<Output = ()> {
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    async move {
        tokio::select! {
            () = received(terminate) => {}
            () = received(interrupt) => {}
        }
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind)
        .inspect_err(|error| tracing::error!(%error, "can't install a handler for a stop signal"))
        .ok()
}

async fn received(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Waits for the tasks for at most `limit`. Then rejects the requests in flight, and aborts the
/// tasks that remain.
pub(super) async fn wait_for(
    mut tasks: JoinSet<()>,
    limit: Duration,
    readiness: &Readiness,
) -> DrainOutcome {
    if timeout(limit, join_all(&mut tasks)).await.is_ok() {
        return DrainOutcome::default();
    }
    while tasks.try_join_next().is_some() {}
    let cut = tasks.len();
    readiness.end_grace_period();
    if timeout(CUT_GRACE, join_all(&mut tasks)).await.is_err() {
        tasks.shutdown().await;
    }
    DrainOutcome { cut, lost: 0 }
}

async fn join_all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_before_the_first_poll_is_not_lost() {
        let stop = termination_signal();
        let me = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &me])
            .status();
        assert!(sent.unwrap().success());
        timeout(Duration::from_secs(10), stop).await.unwrap();
    }
}
