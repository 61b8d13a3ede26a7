//! A store behind TLS: each server is used only if its certificate is valid for the name under
//! which it is reached, be it of the URL or announced by another server.
//!
//! What the certificates say is tested with scripted stores, everywhere. The tests of failover use
//! TLS between real servers, too.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use liveness_gateway::emulator::Scenario;
use rcgen::{CertificateParams, SanType};
use tokio::net::{TcpListener, TcpStream};

use super::{configured, eventually, fake::FakeStore, replica_at, roles::together, until};
use crate::support::{
    Gateway, SESSIONCODE, emulator,
    folder::Folder,
    redis::{self, Redis, certificate::ServerCertificate, free_port},
    routes,
    secure::Authority,
};

const SENTINEL: &str = "rediss+sentinel";
const CLUSTER: &str = "rediss+cluster";

/// A scheme, the certificate of the URL's server, what that one announces, the certificate there,
/// and whether it is used.
type Case = (&'static str, IssuedFor, &'static str, IssuedFor, bool);

/// Whom a certificate is for.
#[derive(Clone, Copy)]
enum IssuedFor {
    Localhost,
    Address,
    Somebody,
}

impl IssuedFor {
    fn set(self, params: &mut CertificateParams) {
        let name = |name: &str| SanType::DnsName(name.to_owned().try_into().unwrap());
        params.subject_alt_names = vec![match self {
            Self::Localhost => name("localhost"),
            Self::Address => SanType::IpAddress([127, 0, 0, 1].into()),
            Self::Somebody => name("somebody.example"),
        }];
    }
}

use IssuedFor::{Address, Localhost, Somebody};

/// TLS in front of a store.
struct Front {
    port: u16,
    /// How often it was connected to.
    tries: Arc<AtomicUsize>,
}

async fn front(authority: &Authority, store: &FakeStore, issued: IssuedFor) -> Front {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = authority.acceptor_with(|params| issued.set(params));
    let (store, tries) = (store.port, Arc::<AtomicUsize>::default());
    let tried = Arc::clone(&tries);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tried.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut front = acceptor.accept(stream).await?;
                let mut back = TcpStream::connect(("127.0.0.1", store)).await?;
                tokio::io::copy_bidirectional(&mut front, &mut back).await
            });
        }
    });
    Front { port, tries }
}

impl Front {
    async fn is_tried_again(&self) {
        let tries = || self.tries.load(Ordering::SeqCst);
        eventually("tries", async || tries() >= 2).await;
    }
}

/// Sentinels and nodes that name `host:port` as the primary, by the scheme of their URL.
async fn naming(scheme: &str, host: &str, port: u16) -> FakeStore {
    let (length, port_text) = (host.len(), port.to_string());
    let server = FakeStore::on_port().await;
    match scheme {
        SENTINEL => server.replies(
            "SENTINEL MASTER main",
            &format!(
                "*4\r\n$2\r\nip\r\n${length}\r\n{host}\r\n$4\r\nport\r\n${}\r\n{port_text}\r\n",
                port_text.len()
            ),
        ),
        _ => server.replies(
            "CLUSTER SLOTS",
            &format!(
                "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n${length}\r\n{host}\r\n:{port}\r\n$2\r\nid\r\n"
            ),
        ),
    }
}

async fn trusting(authority: &Authority, qiniu: SocketAddr, url: &str) -> Gateway {
    let folder = Folder::with(&[("ca.pem", &authority.pem())]);
    let file = folder.path().join("ca.pem");
    let trusting = format!("timeout = \"2s\"\nca_file = {file:?}");
    replica_at(qiniu, url, &trusting, &routes()).await
}

#[tokio::test]
async fn announced_servers_are_used_if_their_certificates_are_valid_for_what_was_announced() {
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let authority = Authority::new();
    let case = async |(scheme, first, announced, second, is_used): Case| {
        let store = FakeStore::on_port().await.wants_login("ann pass");
        let primary = front(&authority, &store, second).await;
        let (mut server, mut path) = (naming(scheme, announced, primary.port).await, "/main");
        if scheme == CLUSTER {
            (server, path) = (server.wants_login("ann pass"), "");
        }
        let entry = front(&authority, &server, first).await;
        let url = format!("{scheme}://ann:pass@localhost:{}{path}", entry.port);
        let gateway = trusting(&authority, qiniu, &url).await;
        if is_used {
            until(&gateway, "store_up 1").await;
            return;
        }
        match first {
            Somebody => {
                entry.is_tried_again().await;
                assert_eq!(server.commands(), 0);
            }
            _ => primary.is_tried_again().await,
        }
        assert_eq!(store.commands(), 0);
        assert!(gateway.metrics().await.contains("store_up 0\n"));
    };
    let mut cases = Vec::new();
    for scheme in [SENTINEL, CLUSTER] {
        cases.extend([
            (scheme, Localhost, "127.0.0.1", Address, true),
            (scheme, Localhost, "localhost", Localhost, true),
            (scheme, Localhost, "127.0.0.1", Localhost, false),
            (scheme, Localhost, "localhost", Somebody, false),
            (scheme, Somebody, "127.0.0.1", Address, false),
        ]);
    }
    together(cases.into_iter().map(case)).await;
}

#[tokio::test]
async fn no_login_is_sent_to_a_server_without_tls() {
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let authority = Authority::new();
    let store = FakeStore::on_port().await.wants_login("ann pass");
    // It is announced as if it had TLS.
    let sentinel = naming(SENTINEL, "localhost", store.port).await;
    let entry = front(&authority, &sentinel, Localhost).await;
    let url = format!("rediss+sentinel://ann:pass@localhost:{}/main", entry.port);
    let gateway = trusting(&authority, qiniu, &url).await;
    eventually("tries", async || store.connections() >= 2).await;
    assert_eq!(store.commands(), 0);
    assert!(gateway.metrics().await.contains("store_up 0\n"));
}

#[tokio::test]
async fn a_store_behind_tls_is_used_if_its_certificate_is_trusted() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let made = ServerCertificate::new();
    let tls = free_port();
    let _redis = Redis::start_with(&made.options(tls)).await;
    let url = format!("rediss://localhost:{tls}");
    let trusting = format!("timeout = \"2s\"\n{}", made.trust());
    let gateway = replica_at(qiniu, &url, &trusting, &routes()).await;
    until(&gateway, "store_up 1").await;
    let distrusting = replica_at(qiniu, &url, "timeout = \"2s\"", &routes()).await;
    assert_eq!(distrusting.post(false, SESSIONCODE, "{}").await.status, 200);
    until(&distrusting, "store_up 0").await;
    // The file names another authority, until it is replaced.
    let folder = Folder::with(&[("authorities.pem", &ServerCertificate::new().pem())]);
    let authorities = folder.path().join("authorities.pem");
    let learning = format!("timeout = \"2s\"\nca_file = {authorities:?}");
    let mut settings = configured(qiniu, &url, &learning, &routes());
    settings.reloadable.poll_interval = Duration::from_millis(5);
    let learning = Gateway::run(settings).await;
    until(&learning, "store_up 0").await;
    folder.write("authorities.pem", &made.pem());
    until(&learning, "store_up 1").await;
}
