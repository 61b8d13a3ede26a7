//! TLS sessions are resumed where no client certificates are asked for, and never where they are: a
//! resumed session would not be checked again.

use std::{net::SocketAddr, sync::Arc};

use liveness_gateway::server::tls::ServerTls;
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    certificates,
    peer::{settings, start},
};
use crate::support::{folder::Folder, secure::Authority, soon};

/// A client that keeps what it needs to resume its sessions. It trusts this authority, and presents
/// this certificate if there is one.
pub(crate) fn client(
    trusted: &Authority,
    shown: Option<&(String, String)>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    })
}

/// How the handshake of a connection went that was used for a request. `None`: it was refused.
pub(crate) async fn visit(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
) -> Option<HandshakeKind> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    let mut tls = connector.connect(name, tcp).await.ok()?;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    tls.write_all(request).await.ok()?;
    // Tickets of TLS 1.3 arrive with the response, as does the rejection of a certificate.
    let mut response = Vec::new();
    soon(tls.read_to_end(&mut response)).await.ok()?;
    assert!(response.starts_with(b"HTTP/1.1 "));
    tls.get_ref().1.handshake_kind()
}

/// The same for two connections, one after the other.
pub(crate) async fn visits(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
) -> [Option<HandshakeKind>; 2] {
    [visit(address, client).await, visit(address, client).await]
}

pub(crate) const NEVER_RESUMED: [Option<HandshakeKind>; 2] =
    [Some(HandshakeKind::Full), Some(HandshakeKind::Full)];

#[tokio::test]
async fn sessions_are_resumed_only_where_no_client_certificate_is_required() {
    let (own, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let (certificate, key) = own.issue();
    let folder = Folder::with(&[
        ("tls.crt", &certificate),
        ("tls.key", &key),
        ("old.crt", &old.pem()),
        ("new.crt", &new.pem()),
    ]);
    let file = |name: &str| folder.path().join(name);
    let config = |client_ca: Option<&str>| {
        let client_ca = client_ca.map(file);
        certificates::server_config(&file("tls.crt"), &file("tls.key"), client_ca.as_deref())
            .unwrap()
    };
    for version in [&TLS12, &TLS13] {
        let tls = ServerTls::new(config(None));
        let mut secure = settings();
        secure.tls = Some(tls.clone());
        let running = start(secure).await;
        let nobody = client(&own, None, &[version]);
        assert_eq!(
            visits(running.public, &nobody).await,
            [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)],
            "{version:?}"
        );
        // A session that was remembered before certificates were required is worth nothing.
        tls.replace(config(Some("old.crt")));
        assert_eq!(visit(running.public, &nobody).await, None, "{version:?}");
        let mine = client(&own, Some(&old.issue()), &[version]);
        assert_eq!(visits(running.public, &mine).await, NEVER_RESUMED);
        tls.replace(config(Some("new.crt")));
        assert_eq!(visit(running.public, &mine).await, None, "{version:?}");
        let theirs = client(&own, Some(&new.issue()), &[version]);
        assert_eq!(visits(running.public, &theirs).await, NEVER_RESUMED);
    }
}
