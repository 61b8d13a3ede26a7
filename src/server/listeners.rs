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
    shared: bool,
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
        let (held, shared) = taken
            .as_ref()
            .map_or((false, false), |taken| (taken.held, taken.shared));
        let tcp = match taken {
            Some(taken) => TcpListener::from_std(taken.listener)?,
            None => {
                let bound = TcpListener::bind(configured).await;
                bound.map_err(named(*configured))?
            }
        };
        let label = ListenerLabel {
            key: *key,
            configured: *configured,
            held,
        };
        listeners.push(BoundListener { tcp, label, shared });
    }
    Ok(listeners)
}

fn named(address: SocketAddr) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; stop the process that listens there, or choose another address"
            }
            io::ErrorKind::AddrNotAvailable => "; choose an address of this machine",
            io::ErrorKind::PermissionDenied => {
                "; let systemd open the port (deploy/systemd), give the process \
                 CAP_NET_BIND_SERVICE, or choose a port from 1024 on"
            }
            _ => "",
        };
        let message = format!("can't listen on {address}: {error}{advice}");
        io::Error::new(error.kind(), message)
    }
}

impl BoundListener {
    /// A listener on a free port, which an earlier process may share.
    #[cfg(test)]
    pub(super) async fn of_test(shared: bool) -> Self {
        let wanted = (ListenKey::Public, SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut bound = bind(&[wanted], InheritedSockets::default()).await;
        Self {
            shared,
            ..bound.as_mut().unwrap().remove(0)
        }
    }

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

    /// Whether an earlier process accepts from it until it has handed over.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// The same socket once more, for another process.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn duplicate(&self) -> io::Result<(ListenerLabel, OwnedFd)> {
        Ok((self.label, self.tcp.as_fd().try_clone_to_owned()?))
    }
}

#[cfg(test)]
mod tests {
    use io::ErrorKind;

    use super::*;

    #[test]
    fn an_address_that_can_t_be_bound_is_named_with_the_way_out() {
        let address = SocketAddr::from(([127, 0, 0, 1], 443));
        for (kind, said) in [
            (ErrorKind::AddrInUse, "; stop the process"),
            (ErrorKind::AddrNotAvailable, "; choose an address"),
            (ErrorKind::PermissionDenied, "; let systemd open the port"),
            (ErrorKind::Other, ""),
        ] {
            let error = named(address)(io::Error::from(kind)).to_string();
            let expected = format!(
                "can't listen on 127.0.0.1:443: {}{said}",
                io::Error::from(kind)
            );
            let rest = error.strip_prefix(&expected);
            assert_eq!(rest.map(str::is_empty), Some(said.is_empty()), "{error}");
        }
    }
}
