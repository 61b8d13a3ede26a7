//! The earlier process's side of a handover: starts the program anew, gives it the listening
//! sockets and the keys of issuers, and waits until it can serve.
//!
//! The new process gets this one's arguments, environment and outputs, and as standard input a
//! socket over which all else goes. Relies on every other descriptor of this process to
//! close when a program is executed. Until the new process can serve, nothing changes here: if it
//! fails or takes too long, it is killed, and this one goes on.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream as AsyncUnixStream,
    time::timeout,
};

use super::{ListenerLabel, PREDECESSOR, Program, wire};
use crate::service_manager::{LISTEN_VARIABLES, Notifier, WATCHDOG_PROCESS};

/// How long the new process may take until it can serve. It reads its configuration and fetches the
/// keys of its issuers, for which it has ten seconds a try.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no other process has taken over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// This is the first process of a container, which ends with it.
    #[error(
        "this is the first process of a container, which would end with it: replace the container \
         instead"
    )]
    FirstProcess,
    /// The program can't be started.
    #[error("`{path}` can't be started: {source}")]
    Start {
        /// Its path.
        path: String,
        /// Reported by the system.
        source: io::Error,
    },
    /// The sockets can't be sent.
    #[error("the listening sockets can't be handed over: {0}")]
    Send(#[source] io::Error),
    /// The new process has ended.
    #[error("it has ended before it could serve ({status}); its own messages say why")]
    Ended {
        /// How it ended.
        status: String,
    },
    /// The new process takes too long.
    #[error(
        "it could not serve within {} s: most likely it has no keys of an issuer yet; it was \
         ended",
        .0.as_secs()
    )]
    Slow(Duration),
}

/// All that is needed to hand over.
pub struct Handover {
    program: Program,
    sockets: Vec<(ListenerLabel, OwnedFd)>,
    notifier: Notifier,
    ready_timeout: Duration,
}

impl Handover {
    /// Hands over these sockets, which are duplicates of the listeners'.
    pub fn new(
        program: Program,
        sockets: Vec<(ListenerLabel, OwnedFd)>,
        notifier: Notifier,
    ) -> Self {
        Self {
            program,
            sockets,
            notifier,
            ready_timeout: READY_TIMEOUT,
        }
    }

    /// Starts the program anew, and passes on these keys of issuers, [`super::MAX_KEYS`] bytes at
    /// most. Returns the number of the new process once it serves in the place of this one.
    ///
    /// # Errors
    /// See [`HandoverError`]: this process has to go on serving.
    pub async fn hand_over(&self, keys: &[u8]) -> Result<u32, HandoverError> {
        if std::process::id() == 1 {
            return Err(HandoverError::FirstProcess);
        }
        let mut successor = self.start()?;
        let process = successor.process;
        tracing::info!(process, program = %self.program.path().display(), "starting anew");
        self.send_sockets(&successor, keys)
            .map_err(HandoverError::Send)?;
        let stream = &mut successor.stream;
        let ready = async {
            stream.write_all(keys).await?;
            stream.read_u8().await
        };
        match timeout(self.ready_timeout, ready).await {
            Err(_) => return Err(HandoverError::Slow(self.ready_timeout)),
            Ok(Ok(wire::READY)) => {}
            Ok(_) => return Err(successor.end()),
        }
        // Before the new process speaks: the manager listens to the main process only.
        self.notifier.main_process(process);
        if successor.stream.write_u8(wire::SERVE).await.is_err() {
            self.notifier.main_process(std::process::id());
            return Err(successor.end());
        }
        successor.release();
        Ok(process)
    }

    fn start(&self) -> Result<Successor, HandoverError> {
        let failed = |source| HandoverError::Start {
            path: self.program.path().display().to_string(),
            source,
        };
        let (stream, there) = AsyncUnixStream::pair().map_err(failed)?;
        let there = there.into_std().map_err(failed)?;
        there.set_nonblocking(false).map_err(failed)?;
        let mut command = self.program.command();
        command
            .env(PREDECESSOR, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(there)));
        for meant_for_this_process in LISTEN_VARIABLES.into_iter().chain([WATCHDOG_PROCESS]) {
            command.env_remove(meant_for_this_process);
        }
        let child = command.spawn().map_err(failed)?;
        Ok(Successor {
            process: child.id(),
            child: Some(child),
            stream,
        })
    }

    fn send_sockets(&self, successor: &Successor, keys: &[u8]) -> io::Result<()> {
        let sockets = self.sockets.iter();
        let sockets: Vec<_> = sockets.map(|(label, it)| (*label, it.as_fd())).collect();
        wire::send(&successor.stream, &sockets, keys.len())
    }
}

/// The new process. It is killed when this is dropped, unless it has been released, and before its
/// socket closes: a process that finds its socket closed would serve.
struct Successor {
    child: Option<Child>,
    process: u32,
    stream: AsyncUnixStream,
}

impl Successor {
    /// Leaves the process to itself.
    fn release(mut self) {
        self.child = None;
    }

    /// The error of a process that has closed its socket, and so has ended or does not speak the
    /// protocol.
    fn end(mut self) -> HandoverError {
        let status = self.child.take().map(kill);
        let status = match status {
            Some(Ok(status)) => status.to_string(),
            Some(Err(error)) => error.to_string(),
            None => String::new(),
        };
        HandoverError::Ended { status }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = self.child.take()
            && let Err(error) = kill(child)
        {
            tracing::warn!(%error, "the new process can't be ended");
        }
    }
}

/// Ends a process. One that has ended before keeps its status.
fn kill(mut child: Child) -> io::Result<ExitStatus> {
    child.kill()?;
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover(program: &str, arguments: &[&str]) -> Handover {
        let program = Program::of(program, arguments);
        let mut handover = Handover::new(program, Vec::new(), Notifier::default());
        handover.ready_timeout = Duration::from_millis(100);
        handover
    }

    #[tokio::test]
    async fn a_process_that_does_not_take_over_is_ended() {
        let folder = std::env::temp_dir().join(format!("successor-{}", std::process::id()));
        let file = folder.to_str().unwrap();
        // Both write their number first.
        let slow = format!("echo $$ > {file}; exec sleep 1000");
        let wrong = format!("echo $$ > {file}; echo no >&0; exec sleep 1000");
        for (script, expected) in [(slow, "within"), (wrong, "ended before")] {
            let error = handover("/bin/sh", &["-c", &script]).hand_over(&[]).await;
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            let process = std::fs::read_to_string(&folder).unwrap_or_default();
            let process = process.trim();
            let left = std::path::Path::new("/proc").join(process).join("stat");
            assert!(process.is_empty() || !left.exists(), "{process} runs");
        }
        let _ = std::fs::remove_file(folder);
    }
}
