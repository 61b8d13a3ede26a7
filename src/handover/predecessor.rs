//! The new process's side of a handover: the sockets and the keys of the earlier process, and its
//! word that this one shall serve.
//!
//! The earlier process names itself in the environment, and its socket is the standard input.
//! Relies on it being the parent, so that a variable that has outlived its process means nothing.
//! Never accepts a connection: who asks [`Predecessor::take_over`] does, afterwards.

use std::{
    env,
    future::Future,
    io,
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::parent_id},
    },
    time::Duration,
};

use rustix::net::{AddressFamily, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    InheritError,
    wire::{self, ReceivedParts},
};

/// The environment variable with the number of the process that hands over its sockets.
pub const PREDECESSOR: &str = "LIVENESS_GATEWAY_PREDECESSOR";

/// How long each part may take to arrive. All are sent as soon as this process exists.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The process that hands over its sockets.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// The process that started this one to take over, if that is so.
    pub(super) fn from_environment() -> Result<Option<Self>, InheritError> {
        let named = env::var(PREDECESSOR).ok();
        if named.and_then(|process| process.parse().ok()) != Some(parent_id()) {
            return Ok(None);
        }
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        if sockopt::socket_domain(&input) != Ok(AddressFamily::UNIX) {
            return Err(InheritError::Protocol);
        }
        Ok(Some(Self(input.into())))
    }

    /// The sockets and the keys of that process.
    pub(super) fn receive(&self) -> Result<ReceivedParts, InheritError> {
        self.0.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        wire::receive(&self.0)
    }

    /// Says that this process can serve, when `able` resolves, and resolves when it shall.
    ///
    /// # Errors
    /// The other process has ended without handing over, also while this one was not able to serve.
    pub async fn take_over(self, able: impl Future<Output = ()>) -> io::Result<()> {
        self.0.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(self.0)?;
        tokio::select! {
            () = able => {}
            // It says nothing before this process does.
            ended = stream.read_u8() => {
                return Err(ended.err().unwrap_or(io::ErrorKind::InvalidData.into()));
            }
        }
        stream.write_u8(wire::READY).await?;
        stream.read_u8().await.map(drop)
    }
}
