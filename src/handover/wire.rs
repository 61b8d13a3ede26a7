//! What two processes of the gateway send to each other over a Unix socket: listening sockets with
//! their labels one way, one line each way after that.
//!
//! The first message is a text of a few lines, with the descriptors attached (unix(7),
//! `SCM_RIGHTS`). Relies on the kernel to keep both together. Never sends anything else of the
//! configuration, and no secret.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{BorrowedFd, OwnedFd},
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

/// The first line. The number rises with each change of what follows.
const VERSION: &str = "liveness-gateway handover 1";
/// Most bytes of the text: some 60 for each socket.
const MAX_TEXT: usize = 16 * 1024;

/// Sends listening sockets, each with its label.
pub(super) fn send(
    stream: &UnixStream,
    sockets: &[(ListenerLabel, BorrowedFd<'_>)],
) -> io::Result<()> {
    let (labels, descriptors): (Vec<_>, Vec<_>) = sockets.iter().copied().unzip();
    let text = encode(&labels);
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

/// Receives listening sockets with their labels.
pub(super) fn receive(stream: &UnixStream) -> Result<Vec<InheritedSocket>, InheritError> {
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
    let labels = str::from_utf8(text).ok().and_then(decode);
    let labels = labels.filter(|labels| labels.len() == descriptors.len());
    let labels = labels.filter(|_| !message.flags.contains(ReturnFlags::CTRUNC));
    let labels = labels.ok_or(InheritError::Protocol)?;
    labels
        .into_iter()
        .zip(descriptors)
        .enumerate()
        .map(|(at, (label, descriptor))| {
            InheritedSocket::new(TcpListener::from(descriptor), at, Some(label))
        })
        .collect()
}

/// A line for each socket, and a last one that shows that the text is complete.
fn encode(labels: &[ListenerLabel]) -> String {
    let lines = labels.iter().map(|label| {
        let held = if label.held { "held" } else { "own" };
        format!("{} {} {held}\n", label.key.as_str(), label.configured)
    });
    format!("{VERSION}\n{}.\n", lines.collect::<String>())
}

fn decode(text: &str) -> Option<Vec<ListenerLabel>> {
    let lines = text.strip_prefix(VERSION)?.strip_prefix('\n')?;
    lines.strip_suffix(".\n")?.lines().map(label).collect()
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
    use std::{io::Write, net::TcpStream, os::fd::AsFd};

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
        send(&here, &sockets).unwrap();
        drop(listeners);
        let received = receive(&there).unwrap();
        assert_eq!(received.len(), 3);
        for (at, socket) in received.iter().enumerate() {
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
        assert_eq!(decode(&encode(&labels)).unwrap(), labels);
        assert_eq!(decode(&encode(&[])).unwrap(), []);
    }

    #[test]
    fn what_is_no_complete_message_of_this_version_is_refused() {
        let good = encode(&[label_of(ListenKey::Public, "127.0.0.1:1", false)]);
        for text in [
            "",
            "GET / HTTP/1.1\r\n",
            &good.replace("handover 1", "handover 2"),
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
