//! Certificates made on the spot, and a TLS peer.
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use liveness_gateway::server::tls::{self, PemFile, ServerTls};
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) struct Files {
    directory: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    pub(crate) fn server_config(&self, client_ca: Option<&Path>) -> Result<ServerTls, String> {
        server_config(&self.certificate, &self.key, client_ca).map(ServerTls::new)
    }
}

pub(crate) fn server_config(
    certificate: &Path,
    key: &Path,
    client_ca: Option<&Path>,
) -> Result<Arc<ServerConfig>, String> {
    let read = |path: &Path| std::fs::read(path).unwrap();
    let texts = [
        read(certificate),
        read(key),
        client_ca.map(read).unwrap_or_default(),
    ];
    let pem = |path, text| PemFile { path, text };
    let authority = client_ca.map(|path| pem(path, &texts[2]));
    tls::server_config(
        &pem(certificate, &texts[0]),
        &pem(key, &texts[1]),
        authority.as_ref(),
    )
    .map_err(|error| error.to_string())
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn files() -> (Files, Arc<RootCertStore>) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory =
        std::env::temp_dir().join(format!("connections-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = Files {
        certificate: directory.join("tls.crt"),
        key: directory.join("tls.key"),
        directory,
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (files, Arc::new(roots))
}

pub(crate) async fn connect(
    address: SocketAddr,
    roots: &Arc<RootCertStore>,
    alpn: &[&[u8]],
) -> TlsStream<TcpStream> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap()
}
