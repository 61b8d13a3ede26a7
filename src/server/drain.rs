//! The end of the process: the signals to stop, and the wait for requests in flight.
//!
//! Relies on connections to notice the stop. Never waits longer than `drain_timeout` plus one
//! second.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use crate::lifecycle::Readiness;

/// Time to send the responses to requests that `drain_timeout` ended.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Signals so close to the one before are the same: some tools send one to the process and to its
/// group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Why the gateway stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It was told to. It is not ready any more, and nobody else has its listening sockets.
    Signal,
    /// Another process serves on the same sockets.
    HandedOver,
}

/// How the connections ended.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Connections that were still open at the deadline, and were closed.
    pub cut: usize,
    /// The end of `drain_timeout`.
    pub deadline: Instant,
}

/// Result of a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Connections that were still open after `drain_timeout`, and were closed.
    pub cut: usize,
    /// Calls to Qiniu that were abandoned; their outcome is unknown.
    pub lost: usize,
}

/// SIGTERM and SIGINT, counted.
#[derive(Clone)]
pub struct StopSignals(watch::Receiver<u32>);

impl StopSignals {
    /// Counts signals from now on, so that one during the start is not lost. If the system refuses
    /// a handler, this is logged, and the signal ends the process at once. Must be called inside of
    /// a runtime.
    pub fn listen() -> Self {
        let (sender, count) = watch::channel(0);
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let [terminate, interrupt] = kinds.map(listen);
        tokio::spawn(count_signals(terminate, interrupt, sender));
        Self(count)
    }

    /// Resolves when the process has been told to stop.
    pub async fn first(self) {
        self.reach(1).await;
    }

    /// Resolves when the process has been told so again.
    pub async fn second(self) {
        self.reach(2).await;
    }

    async fn reach(mut self, wanted: u32) {
        if self.0.wait_for(|count| *count >= wanted).await.is_err() {
            std::future::pending().await
        }
    }
}

async fn count_signals(
    mut terminate: Option<Signal>,
    mut interrupt: Option<Signal>,
    count: watch::Sender<u32>,
) {
    let mut last: Option<Instant> = None;
    loop {
        tokio::select! {
            () = received(&mut terminate) => {}
            () = received(&mut interrupt) => {}
        }
        let now = Instant::now();
        if last.is_none_or(|last| now.duration_since(last) >= SAME_SIGNAL) {
            last = Some(now);
            count.send_modify(|count| *count = count.saturating_add(1));
        }
    }
}

/// Installs a handler; `None` if the system refuses it.
pub fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind)
        .inspect_err(|error| tracing::error!(%error, ?kind, "can't install a handler for a signal"))
        .ok()
}

/// Resolves at the next signal.
pub async fn received(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Waits for the tasks until `deadline`. Then rejects the requests in flight, and aborts the tasks
/// that remain.
pub(super) async fn wait_for(
    mut tasks: JoinSet<()>,
    deadline: Instant,
    readiness: &Readiness,
) -> Drained {
    if timeout_at(deadline, join_all(&mut tasks)).await.is_ok() {
        return Drained { cut: 0, deadline };
    }
    while tasks.try_join_next().is_some() {}
    let cut = tasks.len();
    readiness.end_grace_period();
    if timeout(CUT_GRACE, join_all(&mut tasks)).await.is_err() {
        tasks.shutdown().await;
    }
    Drained { cut, deadline }
}

async fn join_all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupt_this_process() {
        let me = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &me])
            .status();
        assert!(sent.unwrap().success());
    }

    #[tokio::test]
    async fn signals_are_counted_before_anybody_waits_and_an_echo_is_none() {
        let signals = StopSignals::listen();
        let soon = Duration::from_secs(10);
        interrupt_this_process();
        timeout(soon, signals.clone().first()).await.unwrap();
        let begin = Instant::now();
        let second = tokio::spawn(signals.second());
        while !second.is_finished() {
            interrupt_this_process();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begin.elapsed() < soon);
        }
        assert!(begin.elapsed() > SAME_SIGNAL / 2);
    }
}
