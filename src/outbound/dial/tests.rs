//! Addresses that are dead, refuse, or break off, each beside a good one. Proxies are tested with
//! whole gateways.

use std::{net::SocketAddr, sync::atomic::AtomicUsize};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};

use super::*;
use crate::outbound::connection::client_config;

/// Longer than any of these connections takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A listener that accepts no connection, and the connections that fill its queue: the system drops
/// further SYNs.
struct DeadAddress {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl DeadAddress {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await
        {
            waiting.push(stream.unwrap());
        }
        Self {
            listener,
            _waiting: waiting,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

/// A port that refuses connections as long as the socket lives.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn good() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn dialer(addresses: Vec<SocketAddr>) -> Dialer {
    Dialer::default().with_names(Names::table([("server", addresses)]))
}

fn origin(scheme: &str) -> Origin {
    Origin::parse(&format!("{scheme}://server")).unwrap()
}

async fn connect(dialer: &Dialer, limit: Duration) -> io::Result<OutboundConnection> {
    dialer.open(&origin("http"), None, limit).await
}

#[tokio::test]
async fn a_dead_first_address_costs_a_fraction_of_the_limit_and_then_nothing() {
    let dead = DeadAddress::new().await;
    let (listener, address) = good().await;
    let dialer = dialer(vec![dead.address(), address]);
    connect(&dialer, LIMIT).await.unwrap();
    listener.accept().await.unwrap();
    let order = |dialer: &Dialer| Vec::from(dialer.failed.order(vec![dead.address(), address]));
    assert_eq!(order(&dialer), [address, dead.address()]);
    // What one part of the gateway has seen is not held against the address by another.
    assert_eq!(order(&Dialer::default()), [dead.address(), address]);
    // With an hour before a second attempt, only the first address can be the good one.
    let mut waiting = dialer.failed.order(vec![dead.address(), address]);
    let hour = Duration::from_secs(3600);
    let (_, trial) = race::race(&mut waiting, &dialer.failed, hour)
        .await
        .unwrap();
    trial.succeeded();
    assert_eq!(waiting, [dead.address()]);
}

#[tokio::test]
async fn a_refusal_starts_the_next_attempt_at_once() {
    let (_socket, refused) = refusing();
    let (_listener, address) = good().await;
    let failed = FailedAddresses::default();
    let mut waiting = failed.order(vec![refused, refused, address]);
    let hour = Duration::from_secs(3600);
    let (stream, trial) = race::race(&mut waiting, &failed, hour).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    trial.succeeded();
    assert_eq!(failed.order(vec![refused, address]), [address, refused]);
    let error = connect(&dialer(vec![refused]), LIMIT).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_attempt_that_lost_is_dropped() {
    let dead = DeadAddress::new().await;
    let (_listener, address) = good().await;
    let connection = connect(&dialer(vec![dead.address(), address]), LIMIT).await;
    assert!(connection.is_ok());
    // The loser would be a socket of this process that has sent a SYN to the dead port.
    let Ok(table) = std::fs::read_to_string("/proc/self/net/tcp") else {
        return;
    };
    let syn_sent = format!(":{:04X} 02 ", dead.address().port());
    assert!(!table.contains(&syn_sent), "{table}");
}

#[tokio::test]
async fn no_more_than_six_addresses_are_tried_and_dead_ones_only_until_the_limit() {
    let dead = DeadAddress::new().await;
    let only_dead = dialer(vec![dead.address()]);
    let opening = connect(&only_dead, Duration::from_millis(300));
    let error = opening.await.err().unwrap();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            io::ErrorKind::TimedOut,
            "it did not accept a connection within 300ms"
        )
    );
    let (_sockets, refused): (Vec<_>, Vec<_>) = (0..6).map(|_| refusing()).unzip();
    let (_listener, address) = good().await;
    let seventh = dialer([refused, vec![address]].concat());
    let error = connect(&seventh, LIMIT).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    // The six are now the last.
    connect(&seventh, LIMIT).await.unwrap();
}

#[tokio::test]
async fn an_address_whose_tls_handshake_fails_is_given_up_for_the_next() {
    let (breaking, first) = good().await;
    let (silent, second) = good().await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = breaking.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // Closed after the first bytes of the handshake.
            let _ = stream.read(&mut [0; 64]).await;
        }
    });
    let dialer = dialer(vec![first, second]);
    let tls = Some(client_config(None).unwrap());
    let origin = origin("https");
    let opening = dialer.open(&origin, tls, Duration::from_secs(1));
    let error = opening.await.err().unwrap().to_string();
    assert_eq!(error, "the TLS handshake did not end within 1s");
    // The second address was reached, and hung in its turn. Both count as failed.
    silent.accept().await.unwrap();
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
    let third: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let order = dialer.failed.order(vec![first, second, third]);
    assert_eq!(order, [third, first, second]);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_an_error_of_its_own() {
    let error = connect(&dialer(Vec::new()), LIMIT).await.err().unwrap();
    assert_eq!(error.to_string(), "its name has no address");
}

#[test]
fn a_failure_is_forgotten_after_a_minute_or_with_a_success() {
    let failed = FailedAddresses::default();
    let addresses = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
    let [first, second] = addresses;
    let order = || Vec::from(failed.order(addresses.into()));
    failed.trial(first, Duration::ZERO).failed();
    assert_eq!(order(), [second, first]);
    // Where all have failed, the order is that of the resolver.
    failed.trial(second, Duration::ZERO).failed();
    assert_eq!(order(), [first, second]);
    failed.trial(second, Duration::ZERO).succeeded();
    assert_eq!(order(), [second, first]);
    let at = |seconds| Instant::now() + Duration::from_secs(seconds);
    assert_eq!(failed.order_at(addresses.into(), at(50)), [second, first]);
    assert_eq!(failed.order_at(addresses.into(), at(60)), [first, second]);
    failed.trial(first, Duration::ZERO).succeeded();
    // Whoever gives up before an address has had its time says nothing about it.
    drop(failed.trial(first, Duration::from_secs(3600)));
    assert_eq!(order(), [first, second]);
    drop(failed.trial(first, Duration::ZERO));
    assert_eq!(order(), [second, first]);
    for port in 1..1000 {
        let address = SocketAddr::from(([127, 0, 0, 2], port));
        failed.trial(address, Duration::ZERO).failed();
    }
    assert!(failed.count() <= 64);
}
