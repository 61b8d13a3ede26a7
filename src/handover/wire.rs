//! What two processes of the gateway send to each other over a Unix socket: listening sockets with
//! their labels and the public keys of issuers one way, one byte each way after that.
//!
//! The first message is a text of a few lines, with the descriptors attached (unix(7),
//! `SCM_RIGHTS`). Relies on the kernel to keep both together. The keys follow; what they say is
//! [`crate::auth`]'s matter. Never sends anything else of the configuration, and no secret.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};

use super::{InheritError, InheritedSocket, ListenKey, ListenerLabel};

/// The new process can serve.
pub(super) const READY: u8 = b'r';
/// The new process shall serve.
pub(super) const SERVE: u8 = b's';

/// Most descriptors of a message (unix(7)).
pub(super) const MAX_SOCKETS: usize = 253;

/// Most bytes of keys. A key set has some KiB.
pub(super) const MAX_KEYS: usize = 8 * 1024 * 1024;

/// The first line. The number rises with each change of what follows.
const VERSION: &str = "liveness-gateway handover 2";
/// The last line, with the end of the one before.
const END: &[u8] = b"\n.\n";
/// Most bytes of the text: less than 80 for each socket.
const MAX_TEXT: usize = 32 * 1024;

/// What an earlier process has sent.
#[derive(Debug)]
pub(super) struct ReceivedParts {
    pub(super) sockets: Vec<InheritedSocket>,
    pub(super) keys: Vec<u8>,
}

/// Sends listening sockets, each with its label, and says how many bytes of keys will follow.
pub(super) fn send(
    stream: impl AsFd,
    sockets: &[(ListenerLabel, BorrowedFd<'_>)],
    keys: usize,
) -> io::Result<()> {
    let (labels, descriptors): (Vec<_>, Vec<_>) = sockets.iter().copied().unzip();
    let text = encode(&labels, keys);
    let mut space = vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    let fits = attached.push(SendAncillaryMessage::ScmRights(&descriptors));
    if !fits || descriptors.len() > MAX_SOCKETS {
        return Err(io::Error::other(
            "there are more listeners than can be handed over",
        ));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(text.as_bytes())],
        &mut attached,
        SendFlags::NOSIGNAL,
    )?;
    match sent == text.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Receives listening sockets with their labels, and the keys.
pub(super) fn receive(stream: &UnixStream) -> Result<ReceivedParts, InheritError> {
    let mut text = vec![0; MAX_TEXT];
    let mut space = vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut text)],
        &mut attached,
        RecvFlags::empty(),
    )
    .map_err(io::Error::from)?;
    let descriptors: Vec<OwnedFd> = attached
        .drain()
        .filter_map(|part| match part {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let text = text.get(..message.bytes).unwrap_or_default();
    let head = decode(text).filter(|head| head.labels.len() == descriptors.len());
    let head = head.filter(|_| !message.flags.contains(ReturnFlags::CTRUNC));
    let head = head.ok_or(InheritError::Protocol)?;
    let sockets = head.labels.into_iter().zip(descriptors).enumerate();
    let sockets = sockets.map(|(at, (label, descriptor))| {
        InheritedSocket::new(TcpListener::from(descriptor), at, Some(label))
    });
    Ok(ReceivedParts {
        sockets: sockets.collect::<Result<_, _>>()?,
        keys: receive_keys(stream, head.first_keys, head.keys)?,
    })
}

/// Receives so many bytes of keys, of which these have arrived.
fn receive_keys(
    mut stream: &UnixStream,
    first: &[u8],
    length: usize,
) -> Result<Vec<u8>, InheritError> {
    let missing = length.checked_sub(first.len());
    let missing = missing.ok_or(InheritError::Protocol)?;
    let mut keys = first.to_vec();
    let mut rest = stream.by_ref().take(missing as u64);
    rest.read_to_end(&mut keys)?;
    match keys.len() == length {
        true => Ok(keys),
        false => Err(InheritError::Protocol),
    }
}

/// The first message, read.
struct HandoverHead<'a> {
    labels: Vec<ListenerLabel>,
    /// How many bytes of keys follow, and those of them that came along.
    keys: usize,
    first_keys: &'a [u8],
}

/// A line for each socket, one for the keys, and a last one that shows that the text is complete.
fn encode(labels: &[ListenerLabel], keys: usize) -> String {
    let lines = labels.iter().map(|label| {
        let held = if label.held { "held" } else { "own" };
        format!("{} {} {held}\n", label.key.as_str(), label.configured)
    });
    let lines = lines.collect::<String>();
    format!("{VERSION}\n{lines}keys {keys}\n.\n")
}

fn decode(message: &[u8]) -> Option<HandoverHead<'_>> {
    let end = message.windows(END.len()).position(|it| it == END)?;
    let (text, rest) = message.split_at_checked(end)?;
    let text = str::from_utf8(text).ok()?;
    let lines = text.strip_prefix(VERSION)?.strip_prefix('\n')?;
    let (labels, keys) = lines.rsplit_once('\n').unwrap_or(("", lines));
    let keys = keys.strip_prefix("keys ")?.parse().ok()?;
    Some(HandoverHead {
        labels: labels.lines().map(label).collect::<Option<_>>()?,
        keys: Some(keys).filter(|keys| *keys <= MAX_KEYS)?,
        first_keys: rest.strip_prefix(END)?,
    })
}

fn label(line: &str) -> Option<ListenerLabel> {
    let mut words = line.split(' ');
    let key = words.next()?;
    let key = ListenKey::ALL.into_iter().find(|it| it.as_str() == key)?;
    let configured = words.next()?.parse().ok()?;
    let held = match words.next()? {
        "held" => true,
        "own" => false,
        _ => return None,
    };
    words.next().is_none().then_some(ListenerLabel {
        key,
        configured,
        held,
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpStream};

    use super::*;

    fn label_of(key: ListenKey, configured: &str, held: bool) -> ListenerLabel {
        ListenerLabel {
            key,
            configured: configured.parse().unwrap(),
            held,
        }
    }

    #[test]
    fn sockets_arrive_with_their_labels_and_still_listen() {
        let (here, there) = UnixStream::pair().unwrap();
        let labels = [
            label_of(ListenKey::Public, "127.0.0.1:0", false),
            label_of(ListenKey::Public, "[::1]:8080", true),
            label_of(ListenKey::Admin, "127.0.0.1:0", false),
        ];
        let listeners = labels.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let locals = listeners.each_ref().map(|it| it.local_addr().unwrap());
        let sockets: Vec<_> = labels
            .into_iter()
            .zip(listeners.iter().map(AsFd::as_fd))
            .collect();
        let keys = b"keys.\n.\n";
        send(&here, &sockets, keys.len()).unwrap();
        (&here).write_all(keys).unwrap();
        drop(listeners);
        let received = receive(&there).unwrap();
        assert_eq!((received.sockets.len(), &*received.keys), (3, &keys[..]));
        for (at, socket) in received.sockets.iter().enumerate() {
            assert_eq!((socket.label, socket.local), (Some(labels[at]), locals[at]));
            TcpStream::connect(locals[at]).unwrap();
            socket.listener.set_nonblocking(false).unwrap();
            socket.listener.accept().unwrap();
        }
    }

    #[test]
    fn labels_survive_the_text() {
        let labels = [
            label_of(ListenKey::Public, "0.0.0.0:443", true),
            label_of(ListenKey::Admin, "[fe80::1%3]:9090", false),
        ];
        let text = encode(&labels, 7) + "abc";
        let head = decode(text.as_bytes()).unwrap();
        assert_eq!((&*head.labels, head.keys), (&labels[..], 7));
        assert_eq!(head.first_keys, b"abc");
        let head = decode(b"liveness-gateway handover 2\nkeys 0\n.\n").unwrap();
        assert!(head.labels.is_empty() && head.first_keys.is_empty());
    }

    #[test]
    fn what_is_no_complete_message_of_this_version_is_refused() {
        let good = encode(&[label_of(ListenKey::Public, "127.0.0.1:1", false)], 0);
        let none = encode(&[], 2);
        for text in [
            "",
            "GET / HTTP/1.1\r\n",
            // Fewer keys than announced, more, and no possible number.
            &(none.clone() + "1"),
            &(none.clone() + "123"),
            &none.replace("keys 2", "keys 99999999"),
            &none.replace("keys 2", "keys -1"),
            &none.replace("keys 2\n", ""),
            &good.replace("handover 2", "handover 1"),
            &good.replace("own", "lent"),
            &good.replace("server.listen", "server.port"),
            &good.replace("own", "own too"),
            &good.replace("\n.\n", "\n"),
            // Complete, but without its socket.
            &good,
        ] {
            let (mut here, there) = UnixStream::pair().unwrap();
            here.write_all(text.as_bytes()).unwrap();
            drop(here);
            let error = receive(&there).unwrap_err();
            assert!(matches!(error, InheritError::Protocol), "{text}: {error}");
        }
    }
}
