//! Listening sockets that pass from process to process, so that a restart or an upgrade refuses no
//! connection.
//!
//! They come from the service manager ([`activation`]), or from an earlier process of the gateway
//! ([`predecessor`]), and go to a later one ([`successor`]), which runs the [`program`] as it then
//! lies on disk. [`wire`] is the protocol between the two. Relies on the kernel: a socket that two
//! processes hold has one queue, which lasts until both have closed it. Nothing passes but
//! listening sockets and public keys of issuers, and no process ever listens beside another by
//! `SO_REUSEPORT`, which would give each its own queue.

mod activation;
mod predecessor;
mod program;
mod successor;
mod wire;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{AddressFamily, SocketType, sockopt},
};

use self::wire::ReceivedParts;
pub use self::{
    predecessor::{PREDECESSOR, Predecessor},
    program::Program,
    successor::{Handover, HandoverError},
};

/// Most bytes of keys that a process passes on.
pub const MAX_KEYS: usize = wire::MAX_KEYS;

/// The configuration key of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenKey {
    /// `server.listen`
    Public,
    /// `admin.listen`
    Admin,
}

impl ListenKey {
    const ALL: [Self; 2] = [Self::Public, Self::Admin];

    /// The key as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "server.listen",
            Self::Admin => "admin.listen",
        }
    }
}

/// What a process of the gateway knows of one of its listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLabel {
    /// The key that names its address.
    pub key: ListenKey,
    /// The address as it is configured: it may have port 0.
    pub configured: SocketAddr,
    /// Whether the service manager holds the socket as well: its queue outlasts the gateway.
    pub held: bool,
}

/// A listening socket from another process.
#[derive(Debug)]
pub struct InheritedSocket {
    /// The socket. It does not block, and closes when another program is executed.
    pub listener: TcpListener,
    local: SocketAddr,
    /// What the predecessor knew of it; `None`: it is from the service manager.
    label: Option<ListenerLabel>,
}

/// The listening socket of a configured address.
#[derive(Debug)]
pub struct TakenSocket {
    /// The socket.
    pub listener: TcpListener,
    /// Whether the service manager holds it as well: its queue outlasts the gateway.
    pub held: bool,
    /// Whether an earlier process accepts from it until it has handed over.
    pub shared: bool,
}

/// Why sockets can't be inherited.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// `LISTEN_FDS` is no number of descriptors.
    #[error("LISTEN_FDS is `{0}`: the service manager should set it to a number")]
    Count(String),
    /// A descriptor is something else than a listening TCP socket.
    #[error(
        "the service manager passed {what} as descriptor {descriptor}: the gateway takes listening \
         TCP sockets only, so write `ListenStream=` with an IP address and a port, and `Accept=no`"
    )]
    Kind {
        /// Its number.
        descriptor: usize,
        /// What it is.
        what: &'static str,
    },
    /// No key of the configuration names the address of a socket.
    #[error(
        "the service manager passed a socket that listens on {address}, which neither \
         `server.listen` nor `admin.listen` names: write the same address in both places, or \
         remove it from the socket unit"
    )]
    Unmatched {
        /// Its address.
        address: SocketAddr,
    },
    /// The predecessor sent something else than sockets.
    #[error(
        "the earlier process does not speak this version's protocol of handing over sockets: \
         restart the gateway instead"
    )]
    Protocol,
    /// A system call failed.
    #[error("the passed sockets can't be used")]
    System(#[from] io::Error),
}

/// The sockets that this process was started with, and from whom.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    sockets: Vec<InheritedSocket>,
    predecessor: Option<Predecessor>,
    /// The keys of issuers that the predecessor knew.
    keys: Vec<u8>,
}

impl InheritedSockets {
    /// Takes the sockets that the environment tells of. Must be called once, before the process
    /// opens a descriptor or starts a thread.
    ///
    /// # Errors
    /// See [`InheritError`].
    pub fn from_environment() -> Result<Self, InheritError> {
        let Some(predecessor) = Predecessor::from_environment()? else {
            let sockets = activation::sockets()?;
            return Ok(Self {
                sockets,
                ..Self::default()
            });
        };
        let ReceivedParts { sockets, keys } = predecessor.receive()?;
        Ok(Self {
            sockets,
            predecessor: Some(predecessor),
            keys,
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The process that handed over its sockets, if one did.
    pub fn take_predecessor(&mut self) -> Option<Predecessor> {
        self.predecessor.take()
    }

    /// The keys of issuers that the earlier process knew, if there was one.
    pub fn take_keys(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.keys)
    }

    /// The socket of a configured address.
    pub fn take(&mut self, key: ListenKey, configured: SocketAddr) -> Option<TakenSocket> {
        let fits = |socket: &InheritedSocket| socket.fits(key, configured);
        let socket = self.sockets.remove(self.sockets.iter().position(fits)?);
        Some(TakenSocket {
            held: socket.label.is_none_or(|label| label.held),
            shared: socket.label.is_some(),
            listener: socket.listener,
        })
    }

    /// Drops the sockets that nobody has taken: they are an error if they are from the service
    /// manager, since the two configurations differ. A predecessor's may be of an older one.
    ///
    /// # Errors
    /// [`InheritError::Unmatched`]
    pub fn finish(self) -> Result<(), InheritError> {
        match self.sockets.iter().find(|socket| socket.label.is_none()) {
            None => Ok(()),
            Some(socket) => Err(InheritError::Unmatched {
                address: socket.local,
            }),
        }
    }
}

impl InheritedSocket {
    /// Prepares a socket. `descriptor` is its number, for errors.
    fn new(
        listener: TcpListener,
        descriptor: usize,
        label: Option<ListenerLabel>,
    ) -> Result<Self, InheritError> {
        if let Some(what) = unfit(listener.as_fd()) {
            return Err(InheritError::Kind { descriptor, what });
        }
        fcntl_setfd(&listener, FdFlags::CLOEXEC).map_err(io::Error::from)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            local: listener.local_addr()?,
            listener,
            label,
        })
    }

    /// Port 0 stands for the port that the predecessor chose for the same key.
    fn fits(&self, key: ListenKey, configured: SocketAddr) -> bool {
        match (configured.port(), self.label) {
            (0, Some(label)) => label.key == key && label.configured == configured,
            (0, None) => false,
            _ => self.local == configured,
        }
    }
}

/// What a descriptor is, if it is no listening TCP socket.
fn unfit(descriptor: BorrowedFd<'_>) -> Option<&'static str> {
    let stream = sockopt::socket_type(descriptor).map(|kind| kind == SocketType::STREAM);
    let domain = sockopt::socket_domain(descriptor);
    match (stream, domain, sockopt::socket_acceptconn(descriptor)) {
        (Err(_), _, _) | (_, Err(_), _) | (_, _, Err(_)) => Some("something that is no socket"),
        (_, Ok(AddressFamily::UNIX), _) => Some("a Unix socket"),
        (Ok(true), Ok(AddressFamily::INET | AddressFamily::INET6), Ok(true)) => None,
        (Ok(true), _, Ok(false)) => Some("a connection"),
        (Ok(false), _, _) | (Ok(true), _, Ok(true)) => Some("a socket of another kind"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpStream, UdpSocket},
        os::{fd::OwnedFd, unix::net::UnixListener},
    };

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Listening sockets on free ports, with these labels.
    fn sockets(labels: &[Option<ListenerLabel>]) -> (InheritedSockets, Vec<SocketAddr>) {
        let (mut sockets, mut locals) = (Vec::new(), Vec::new());
        for (at, label) in labels.iter().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            locals.push(listener.local_addr().unwrap());
            sockets.push(InheritedSocket::new(listener, at, *label).unwrap());
        }
        let sockets = InheritedSockets {
            sockets,
            ..InheritedSockets::default()
        };
        (sockets, locals)
    }

    #[test]
    fn a_managers_socket_belongs_to_the_key_with_its_address() {
        let (mut sockets, locals) = sockets(&[None, None]);
        let (first, second) = (locals[0], locals[1]);
        let elsewhere = address("127.0.0.1:0");
        assert!(sockets.take(ListenKey::Public, elsewhere).is_none());
        let taken = sockets.take(ListenKey::Admin, second).unwrap();
        assert_eq!(taken.listener.local_addr().unwrap(), second);
        assert!(taken.held && !taken.shared);
        assert!(sockets.take(ListenKey::Public, second).is_none());
        let error = sockets.finish().unwrap_err();
        assert!(error.to_string().contains(&first.to_string()), "{error}");
    }

    #[test]
    fn a_predecessors_socket_is_known_by_its_key_where_the_port_is_free() {
        let free = address("127.0.0.1:0");
        let label = |key| {
            Some(ListenerLabel {
                key,
                configured: free,
                held: false,
            })
        };
        let (mut sockets, locals) = sockets(&[
            label(ListenKey::Admin),
            label(ListenKey::Public),
            label(ListenKey::Public),
        ]);
        let taken = sockets.take(ListenKey::Public, free).unwrap();
        assert_eq!(taken.listener.local_addr().unwrap(), locals[1]);
        assert!(taken.shared && !taken.held);
        // A port may be written instead, in the new configuration.
        assert!(sockets.take(ListenKey::Public, locals[0]).is_some());
        sockets.finish().unwrap();
    }

    #[test]
    fn only_listening_tcp_sockets_are_taken() {
        let name = std::env::temp_dir().join(format!("unfit-{}", std::process::id()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let others: [(OwnedFd, &str); 4] = [
            (
                UdpSocket::bind("127.0.0.1:0").unwrap().into(),
                "of another kind",
            ),
            (UnixListener::bind(&name).unwrap().into(), "a Unix socket"),
            (stream.into(), "a connection"),
            (std::fs::File::open("/").unwrap().into(), "no socket"),
        ];
        std::fs::remove_file(name).unwrap();
        for (descriptor, what) in others {
            let error = InheritedSocket::new(descriptor.into(), 5, None).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(what) && text.contains("descriptor 5"),
                "{text}"
            );
        }
        assert!(InheritedSocket::new(listener, 3, None).is_ok());
    }
}
