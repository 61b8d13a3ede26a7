//! TLS of the listener: new handshakes use the new certificate, open connections continue.

use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use liveness_gateway::emulator::Scenario;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Folder, gateway, identity, logged, until};
use crate::connections::resumption;
use crate::support::{Gateway, SESSIONCODE, UNBOUND, bearer, emulator, secure::Authority};

const TLS: &str = "[server.tls]\ncertificate = \"tls.crt\"\nprivate_key = \"tls.key\"\n";

type Sender = hyper::client::conn::http1::SendRequest<http_body_util::Full<bytes::Bytes>>;

/// A connection that trusts this authority, and presents this client certificate if there is one.
async fn connect(
    address: SocketAddr,
    trusted: &Authority,
    shown: Option<&(String, String)>,
) -> Option<TlsStream<TcpStream>> {
    let config = resumption::client(trusted, shown, rustls::DEFAULT_VERSIONS);
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, tcp).await.ok()
}

/// Sends a request on such a connection. `None` means that TLS failed: in TLS 1.3 a rejected client
/// certificate shows here.
async fn ask(sender: &mut Sender) -> Option<u16> {
    let request = hyper::Request::post(SESSIONCODE)
        .header("host", "localhost")
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json")
        .body(http_body_util::Full::from("{}"))
        .unwrap();
    Some(sender.send_request(request).await.ok()?.status().as_u16())
}

async fn sender(
    address: SocketAddr,
    trusted: &Authority,
    shown: Option<&(String, String)>,
) -> Option<Sender> {
    let tls = connect(address, trusted, shown).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .ok()?;
    tokio::spawn(connection);
    Some(sender)
}

async fn is_served(
    gateway: &Gateway,
    trusted: &Authority,
    shown: Option<&(String, String)>,
) -> bool {
    match sender(gateway.address, trusted, shown).await {
        Some(mut sender) => ask(&mut sender).await == Some(200),
        None => false,
    }
}

/// What to do about a certificate without its key, and nothing else.
const PAIR: &str = "; give the pair that was issued together, the server's own certificate first\"";

async fn start(folder: &Folder, tls: &str) -> Gateway {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let more = format!("{tls}{}{UNBOUND}", identity());
    gateway(qiniu, folder, "", &more).await
}

#[tokio::test]
async fn a_renewed_certificate_is_presented_and_connections_continue() {
    let (old, new) = (Authority::new(), Authority::new());
    let (certificate, key) = old.issue();
    let folder = Folder::with(&[]);
    folder.publish(&[("tls.crt", &certificate), ("tls.key", &key)]);
    let gateway = start(&folder, TLS).await;
    let mut kept = sender(gateway.address, &old, None).await.unwrap();
    assert_eq!(ask(&mut kept).await, Some(200));
    let (certificate, key) = new.issue();
    folder.publish(&[("tls.crt", &certificate), ("tls.key", &key)]);
    until("the new certificate", async || {
        let (before, after) = (
            is_served(&gateway, &old, None).await,
            is_served(&gateway, &new, None).await,
        );
        assert!(before || after, "there is one at any time");
        after
    })
    .await;
    assert!(!is_served(&gateway, &old, None).await);
    kept.ready().await.unwrap();
    assert_eq!(ask(&mut kept).await, Some(200));
}

#[tokio::test]
async fn metrics_tell_when_each_file_expires_and_follow_its_content() {
    let authority = Authority::new();
    let until_year =
        |year| authority.issue_with(|params| params.not_after = rcgen::date_time_ymd(year, 1, 1));
    let (certificate, key) = until_year(2030);
    let folder = Folder::with(&[("ca.crt", &authority.pem())]);
    folder.publish(&[("tls.crt", &certificate), ("tls.key", &key)]);
    let gateway = start(&folder, &format!("{TLS}client_ca = \"ca.crt\"\n")).await;
    let shows = async |file: &str, seconds: u64| {
        let path = folder.path().join(file);
        let labels = format!("{{file=\"{}\"}}", path.display());
        let name = "liveness_gateway_certificate_expiry_timestamp_seconds";
        let line = format!("\n{name}{labels} {seconds}\n");
        gateway.metrics().await.contains(&line)
    };
    // What rcgen writes where nothing else is said: the year 4096.
    assert!(
        shows("ca.crt", 67_090_118_400).await,
        "{}",
        gateway.metrics().await
    );
    assert!(
        shows("tls.crt", 1_893_456_000).await,
        "{}",
        gateway.metrics().await
    );
    let (certificate, key) = until_year(2031);
    folder.publish(&[("tls.crt", &certificate), ("tls.key", &key)]);
    until("the new end", async || {
        shows("tls.crt", 1_924_992_000).await
    })
    .await;
    let reloads = "reloads_total{what=\"tls\",outcome=\"success\"} 1\n";
    assert!(gateway.metrics().await.contains(reloads));
    folder.rename_over("tls.crt", "no certificate");
    until("the refusal", async || {
        let metrics = gateway.metrics().await;
        metrics.contains("last_reload_successful{what=\"tls\"} 0\n")
            && metrics.contains("reloads_total{what=\"tls\",outcome=\"refused\"} 1\n")
    })
    .await;
    assert!(
        shows("tls.crt", 1_924_992_000).await,
        "the one in use counts"
    );
    let (certificate, key) = until_year(2020);
    folder.rename_over("tls.crt", &certificate);
    folder.rename_over("tls.key", &key);
    // Valid as files, so it is used.
    let warned = logged(&[&folder.name(), "tls.crt has expired on 2020-01-01"]).await;
    assert!(warned[0].contains("\"level\":\"warn\""), "{warned:?}");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_rejected() {
    let (old, new) = (Authority::new(), Authority::new());
    let (certificate, key) = old.issue();
    let folder = Folder::with(&[("tls.crt", &certificate), ("tls.key", &key)]);
    let gateway = start(&folder, TLS).await;
    let (certificate, key) = new.issue();
    folder.rename_over("tls.crt", &certificate);
    let line = logged(&[&folder.name(), "does not belong to"]).await;
    assert!(
        line[0].contains("\"key\":\"server.tls.certificate\"") && line[0].contains(PAIR),
        "{line:?}"
    );
    assert!(is_served(&gateway, &old, None).await);
    folder.rename_over("tls.key", &key);
    until("the pair", async || is_served(&gateway, &new, None).await).await;
    assert_eq!(logged(&[&folder.name()]).await.len(), 1);
}

#[tokio::test]
async fn a_new_client_authority_applies_to_new_handshakes() {
    let (own, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let (mine, theirs) = (old.issue(), new.issue());
    let (certificate, key) = own.issue();
    let folder = Folder::with(&[
        ("tls.crt", &certificate),
        ("tls.key", &key),
        ("ca.crt", &old.pem()),
    ]);
    let gateway = start(&folder, &format!("{TLS}client_ca = \"ca.crt\"\n")).await;
    assert!(is_served(&gateway, &own, Some(&mine)).await);
    assert!(!is_served(&gateway, &own, Some(&theirs)).await);
    assert!(!is_served(&gateway, &own, None).await);
    let mut kept = sender(gateway.address, &own, Some(&mine)).await.unwrap();
    assert_eq!(ask(&mut kept).await, Some(200));
    // These would resume their sessions, which would not be checked again.
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    let returning = versions.map(|version| resumption::client(&own, Some(&mine), &[version]));
    for client in &returning {
        let visits = resumption::visits(gateway.address, client).await;
        assert_eq!(visits, resumption::NEVER_RESUMED);
    }
    folder.rename_over("ca.crt", &new.pem());
    until("the new authority", async || {
        is_served(&gateway, &own, Some(&theirs)).await
    })
    .await;
    assert!(!is_served(&gateway, &own, Some(&mine)).await);
    assert!(!is_served(&gateway, &own, None).await);
    for client in &returning {
        assert_eq!(resumption::visit(gateway.address, client).await, None);
    }
    kept.ready().await.unwrap();
    assert_eq!(ask(&mut kept).await, Some(200));
}
