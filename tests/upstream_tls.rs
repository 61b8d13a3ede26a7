//! TLS towards Qiniu: a certificate of the operator's own authority is trusted, anybody else's is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use support::{Gateway, SESSIONCODE, routes, upstream::answer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Answers one session code after another over TLS as `localhost`.
async fn secure_upstream(authority: &CertifiedIssuer<'static, KeyPair>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
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
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    stream.write_all(&good).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    port
}

async fn gateway(port: u16, trusted: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Gateway {
    let file = std::env::temp_dir().join(format!(
        "liveness-gateway-{}-{name}.pem",
        std::process::id()
    ));
    std::fs::write(&file, trusted.pem()).unwrap();
    let qiniu = format!(
        "endpoint = \"https://localhost:{port}\"\nca_file = \"{}\"",
        file.display()
    );
    let gateway = Gateway::start_at(&qiniu, "", &routes()).await;
    std::fs::remove_file(file).unwrap();
    gateway
}

#[tokio::test]
async fn the_operator_s_authority_is_trusted_and_the_connection_is_kept() {
    let authority = authority();
    let gateway = gateway(secure_upstream(&authority).await, &authority, "good").await;
    for _ in 0..3 {
        assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    }
}

#[tokio::test]
async fn another_authority_is_not() {
    let gateway = gateway(secure_upstream(&authority()).await, &authority(), "bad").await;
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (502, "upstream_unreachable")
    );
}
