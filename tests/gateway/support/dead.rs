//! Addresses that never accept a connection: the system drops each SYN, because the listener's
//! queue is full and nobody accepts.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

/// Dead as long as it lives.
pub(crate) struct Dead {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

pub(crate) async fn start() -> Dead {
    let v6 = TcpSocket::new_v6().and_then(|socket| {
        socket.bind("[::1]:0".parse().unwrap())?;
        Ok(socket)
    });
    // Without IPv6 on this machine, another IPv4 address does as well.
    let socket = v6.unwrap_or_else(|_| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
    });
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    Dead {
        address,
        _listener: listener,
        _queue: queue,
    }
}
