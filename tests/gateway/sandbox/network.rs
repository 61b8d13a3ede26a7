//! The sandbox in a network: TLS, the addresses that it prints, and its other listener.

use std::{
    io::{BufRead, BufReader, Read},
    net::IpAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use hyper::Request;
use hyper_util::rt::TokioIo;
use liveness_gateway::{
    sandbox::{Sandbox, SandboxSettings},
    telemetry::log::LogWriter,
};
use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::settings;

/// Accepts any certificate and remembers it, as a person does who looks at it first.
#[derive(Debug)]
struct Curious {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock().unwrap() = Some(certificate.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 is expected".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

async fn connect(
    address: &str,
    name: &str,
    config: rustls::ClientConfig,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await
}

fn client() -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
}

#[tokio::test]
async fn the_certificate_is_valid_for_this_machine_once_it_is_trusted() {
    let settings = SandboxSettings {
        tls: true,
        ..settings()
    };
    let (lines, _) = LogWriter::capture();
    let sandbox = Sandbox::bind(settings, lines).await.unwrap();
    let url = sandbox.url();
    let address = url.strip_prefix("https://").unwrap();
    let guide = sandbox.guide(false);
    tokio::spawn(sandbox.run(std::future::pending()));
    let curious = Arc::new(Curious {
        provider: Arc::new(aws_lc_rs::default_provider()),
        seen: Mutex::default(),
    });
    let any = client()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&curious) as _)
        .with_no_client_auth();
    connect(address, "example.com", any).await.unwrap();
    let certificate = curious.seen.lock().unwrap().clone().unwrap();
    // The guide shows what a browser shows.
    let bytes = Sha256::digest(&certificate).map(|byte| format!("{byte:02X}"));
    assert!(guide.contains(&bytes.join(":")), "{guide}");
    assert!(guide.contains("curl -sSk "), "curl must not refuse it");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    for (name, accepted) in [
        ("127.0.0.1", true),
        ("localhost", true),
        ("::1", true),
        ("example.com", false),
        ("192.0.2.1", false),
    ] {
        let config = client().with_root_certificates(roots.clone());
        let connected = connect(address, name, config.with_no_client_auth()).await;
        assert_eq!(connected.is_ok(), accepted, "{name}");
        let Ok(stream) = connected else { continue };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::get("/").header("host", address);
        let request = request.body(String::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    }
}

/// What the sandbox prints until it is stopped behind its guide, on standard output and error.
fn printed(arguments: &[&str]) -> (String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_liveness-gateway"))
        .arg("sandbox")
        .args(arguments)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("Stop with Ctrl-C") {
        assert!(output.read_line(&mut text).unwrap() > 0, "{text}");
    }
    // It takes signals since before it printed anything, and ends behind its warnings.
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let mut warnings = String::new();
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_string(&mut warnings).unwrap();
    assert!(child.wait().unwrap().success());
    (text, warnings)
}

#[test]
fn an_address_that_a_phone_can_open_is_printed() {
    let listen = [
        "--listen",
        "0.0.0.0:0",
        "--admin-listen",
        "0.0.0.0:0",
        "--tls",
    ];
    let (text, warnings) = printed(&listen);
    let line = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{text}")).trim()
    };
    let page = line("  page ");
    let host = page
        .strip_prefix("https://")
        .and_then(|rest| rest.split(':').next());
    let address: IpAddr = host.unwrap().parse().unwrap();
    assert!(!address.is_unspecified(), "{page}");
    assert!(line("  admin ").starts_with("http://127.0.0.1:"), "{text}");
    // On a machine without a network, only this machine can open it.
    let code = text
        .lines()
        .filter(|line| line.contains("█▀") || line.contains("▄█"));
    if address.is_loopback() {
        assert!(text.contains("has no network"), "{text}");
    } else {
        assert!(code.count() > 10, "{text}");
        assert!(
            text.contains(&format!("same network:\n\n  {page}\n")),
            "{text}"
        );
    }
    assert!(
        warnings.contains("whoever opens the page gets a token"),
        "{warnings}"
    );
    assert!(warnings.contains("the admin listener"), "{warnings}");
}

#[test]
fn a_sandbox_for_this_machine_prints_no_code_and_no_warning() {
    let (text, warnings) = printed(&["--listen", "127.0.0.1:0"]);
    assert!(text.contains("  page      http://127.0.0.1:"), "{text}");
    assert!(!text.contains('█') && !text.contains("phone"), "{text}");
    assert!(!warnings.contains("warning"), "{warnings}");
}
