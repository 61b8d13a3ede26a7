//! The pool by itself, with a server that only accepts.

use tokio::{io::AsyncReadExt, net::TcpListener};

use super::*;
use crate::{
    outbound::{dial::Dialer, origin::Origin},
    qiniu::Credentials,
    secret::Secret,
};

const SECOND: Duration = Duration::from_secs(1);

fn upstream(address: std::net::SocketAddr, max_connections: usize) -> Arc<Upstream> {
    Arc::new(Upstream::new(UpstreamSettings {
        endpoint: Origin::parse(&format!("http://{address}")).unwrap(),
        credentials: Credentials {
            access_key: Secret::new("ak"),
            secret_key: Secret::new("sk"),
        },
        sign_date: false,
        tls: None,
        dialer: Dialer::default(),
        connect_timeout: 5 * SECOND,
        max_connections,
        idle_timeout: 30 * SECOND,
    }))
}

impl Upstream {
    /// Makes each idle connection older.
    fn age(&self, by: Duration) {
        for idle in &mut self.lock().idle {
            idle.since = idle.since.checked_sub(by).unwrap();
        }
    }

    fn counts(&self) -> (usize, usize, usize) {
        let connections = self.lock();
        let Connections {
            idle,
            opening,
            expected,
        } = &*connections;
        (idle.len(), *opening, *expected)
    }
}

/// A server that only accepts; how many connections it accepted, and how many of these are open.
#[derive(Default)]
struct Accepted {
    all: std::sync::atomic::AtomicUsize,
    open: std::sync::atomic::AtomicUsize,
}

impl Accepted {
    fn all(&self) -> usize {
        self.all.load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn until_open(&self, count: usize) {
        while self.open.load(std::sync::atomic::Ordering::SeqCst) != count {
            tokio::task::yield_now().await;
        }
    }
}

async fn accepting(max_connections: usize) -> (Arc<Upstream>, Arc<Accepted>) {
    use std::sync::atomic::Ordering::SeqCst;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(listener.local_addr().unwrap(), max_connections);
    let accepted = Arc::new(Accepted::default());
    let counts = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counts.all.fetch_add(1, SeqCst);
            counts.open.fetch_add(1, SeqCst);
            let counts = Arc::clone(&counts);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0]).await;
                counts.open.fetch_sub(1, SeqCst);
            });
        }
    });
    (upstream, accepted)
}

#[tokio::test]
async fn a_connection_is_fresh_for_less_than_a_second() {
    let (upstream, accepted) = accepting(4).await;
    for (age, fresh) in [(0, true), (500, true), (999, false), (5000, false)] {
        let lease = upstream.lease().await.unwrap();
        upstream.lock().idle.clear();
        upstream.keep(lease);
        upstream.age(Duration::from_millis(age));
        let lease = upstream.lease_fresh(None).await.unwrap();
        assert_eq!(lease.reused, fresh, "{age} ms");
        // An older one stays for those that may be resent.
        assert_eq!(upstream.idle_connections(), usize::from(!fresh));
        drop(lease);
        if !fresh {
            assert!(upstream.lease().await.unwrap().reused);
        }
    }
    assert!(accepted.all() > 0);
}

#[tokio::test]
async fn a_connection_that_was_not_used_gets_no_fresher() {
    let (upstream, _) = accepting(4).await;
    let (older, newer) = (
        upstream.lease().await.unwrap(),
        upstream.lease().await.unwrap(),
    );
    upstream.keep(older);
    upstream.age(Duration::from_millis(500));
    let older = upstream.lease_fresh(None).await.unwrap();
    upstream.keep(newer);
    upstream.return_unused(older);
    upstream.age(Duration::from_millis(500));
    let newest = upstream.lease_fresh(None).await.unwrap();
    assert!(newest.reused);
    assert!(!upstream.lease_fresh(None).await.unwrap().reused);
}

#[tokio::test]
async fn connections_never_exceed_the_cap_whatever_is_leased_opened_and_kept() {
    let (upstream, accepted) = accepting(2).await;
    let (one, other) = (
        upstream.lease().await.unwrap(),
        upstream.lease().await.unwrap(),
    );
    upstream.keep(one);
    upstream.keep(other);
    upstream.age(SECOND);
    accepted.until_open(2).await;
    // In place of the oldest.
    let fresh = upstream.lease_fresh(None).await.unwrap();
    assert!(!fresh.reused && upstream.idle_connections() == 1);
    accepted.until_open(2).await;
    let opening = upstream.expect_call().unwrap();
    assert!(opening.await.is_err());
    accepted.until_open(2).await;
    assert_eq!(upstream.counts(), (1, 0, 1));
    // Both permits are in use.
    let last = upstream.lease_fresh(None).await.unwrap();
    assert!(last.reused && upstream.expect_call().is_none());
    assert_eq!(upstream.counts(), (0, 0, 2));
    drop((fresh, last));
    accepted.until_open(0).await;
    assert_eq!(accepted.all(), 4);
}

#[tokio::test]
async fn as_many_connections_are_opened_as_calls_are_expected() {
    let (upstream, accepted) = accepting(3).await;
    let openings: Vec<_> = (0..5).filter_map(|_| upstream.expect_call()).collect();
    // No more than could be in use at once.
    assert_eq!((openings.len(), upstream.counts()), (3, (0, 3, 5)));
    for opening in openings {
        assert!(opening.await.is_err());
    }
    assert_eq!(upstream.counts(), (3, 0, 5));
    for _ in 0..5 {
        upstream.forget_call();
    }
    // Those that are there are enough, until they are no longer fresh.
    assert!(upstream.expect_call().is_none());
    upstream.forget_call();
    upstream.age(SECOND);
    assert!(upstream.expect_call().unwrap().await.is_err());
    accepted.until_open(3).await;
    assert_eq!(accepted.all(), 4);
}

#[tokio::test]
async fn a_call_waits_for_the_connection_that_is_being_opened_and_opens_one_if_that_fails() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let upstream = upstream(socket.local_addr().unwrap(), 4);
    let refused = upstream.expect_call().unwrap();
    while upstream.counts().1 > 0 {
        tokio::task::yield_now().await;
    }
    let listener = socket.listen(8).unwrap();
    let lease = upstream.lease_fresh(Some(refused)).await.unwrap();
    assert!(!lease.reused);
    // One is being opened: no second one.
    let opening = upstream.expect_call().unwrap();
    let (lease, accepted) = tokio::join!(upstream.lease_fresh(Some(opening)), async {
        let first = listener.accept().await.unwrap();
        (first, listener.accept().await.unwrap())
    });
    assert!(lease.unwrap().reused);
    drop(accepted);
    assert_eq!(upstream.counts(), (0, 0, 2));
}
