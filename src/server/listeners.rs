//! The listening sockets: taken from another process where it passed them, else bound.
//!
//! Relies on [`crate::handover`] for the passed ones. Never shares a port by `SO_REUSEPORT`: what
//! waits in the queue of a socket that closes would be lost.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
};

use tokio::net::TcpListener;

use crate::handover::{InheritError, InheritedSockets, ListenKey, ListenerLabel};

/// A listening socket, and where it is from.
#[derive(Debug)]
pub struct BoundListener {
    pub(super) tcp: TcpListener,
    label: ListenerLabel,
}

/// Why the listeners can't be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The sockets from another process can't be used.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// An address can't be bound; the message names it.
    #[error(transparent)]
    Bind(#[from] io::Error),
}

/// Binds every address, or takes its socket from another process.
///
/// # Errors
/// A socket has an address that is not wanted, or an address can't be bound.
pub async fn bind(
    wanted: &[(ListenKey, SocketAddr)],
    mut inherited: InheritedSockets,
) -> Result<Vec<BoundListener>, BindError> {
    let taken = wanted.iter().map(|(key, it)| inherited.take(*key, *it));
    let taken: Vec<_> = taken.collect();
    // First, since an address that differs a little from that of a socket can't be bound beside it.
    inherited.finish()?;
    let mut listeners = Vec::with_capacity(wanted.len());
    for ((key, configured), taken) in wanted.iter().zip(taken) {
        let (tcp, held) = match taken {
            Some((listener, held)) => (TcpListener::from_std(listener)?, held),
            None => {
                let bound = TcpListener::bind(configured).await;
                (bound.map_err(named(*configured))?, false)
            }
        };
        let label = ListenerLabel {
            key: *key,
            configured: *configured,
            held,
        };
        listeners.push(BoundListener { tcp, label });
    }
    Ok(listeners)
}

fn named(address: SocketAddr) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
}

impl BoundListener {
    /// The address that it listens on.
    ///
    /// # Errors
    /// The system does not return it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Whether its queue outlasts this process, because the service manager has the socket too.
    pub(super) fn is_held(&self) -> bool {
        self.label.held
    }

    /// The same socket once more, for another process.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn duplicate(&self) -> io::Result<(ListenerLabel, OwnedFd)> {
        Ok((self.label, self.tcp.as_fd().try_clone_to_owned()?))
    }
}
