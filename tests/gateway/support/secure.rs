//! TLS servers named `localhost`, or like the hosts that only a proxy knows, with certificates of
//! the test's own authority.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::upstream::answer;

/// The names in each certificate.
const NAMES: [&str; 4] = [
    "localhost",
    "qiniu.example",
    "login.example",
    "backend.example",
];

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the names and its key.
    pub(crate) fn issue(&self) -> (String, String) {
        self.issue_with(|_| {})
    }

    /// The same, changed before it is signed.
    pub(crate) fn issue_with(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(NAMES.map(str::to_owned)).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Accepts TLS with such a certificate.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_with(|_| {})
    }

    /// Accepts TLS with such a certificate, changed before it is signed.
    pub(crate) fn acceptor_with(&self, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let (certificate, key) = self.issue_with(change);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Accepts TLS, and passes what is in it on to a plain server. Returns its address.
pub(crate) async fn front(authority: &Authority, server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = authority.acceptor();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut plain = TcpStream::connect(server).await.unwrap();
                // Ends when either side breaks off.
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
            });
        }
    });
    address
}

/// Serves session codes, at most `most` on each connection. Returns the port.
pub(crate) async fn qiniu(authority: &Authority, most: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = authority.acceptor();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let good = answer(
                    "200 OK",
                    "{\"error_code\":0,\"result\":{\"session_id\":\"S1\",\"code\":\"0\"}}",
                );
                let mut request = vec![0; 4096];
                for _ in 0..most {
                    let Ok(1..) = stream.read(&mut request).await else {
                        return;
                    };
                    stream.write_all(&good).await.unwrap();
                    stream.flush().await.unwrap();
                }
                stream.shutdown().await.unwrap();
            });
        }
    });
    port
}
