//! TLS to Qiniu: only a certificate of the operator's own authority is trusted, a handshake that
//! fails costs nobody a session, and what breaks afterwards is a call whose outcome is unknown.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{
    Answer, Gateway, SESSIONCODE, VERIFY, routes,
    secure::{self, Authority},
    session,
    upstream::answer,
    verify_body,
};
use rcgen::{SanType, date_time_ymd};
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

async fn gateway(port: u16, trusted: &Authority, name: &str) -> Gateway {
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
    let authority = Authority::new();
    let gateway = gateway(secure::qiniu(&authority, 3).await, &authority, "good").await;
    for _ in 0..3 {
        assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let gateway = gateway(
        secure::qiniu(&Authority::new(), 1).await,
        &Authority::new(),
        "bad",
    )
    .await;
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (502, "upstream_unreachable")
    );
}

/// What the server does with a connection.
#[derive(Clone)]
enum TlsPeer {
    /// Resets it.
    Resets,
    /// Reads the client's first message, and resets it.
    ResetsAfterHello,
    /// Reads the client's first message, sends these bytes, and closes it.
    Says(Vec<u8>),
    /// Accepts TLS, reads a request, sends these bytes, and closes TCP without an end of TLS.
    Truncates(TlsAcceptor, Vec<u8>),
    /// Accepts TLS, reads a request, and sends bytes that are no TLS.
    Garbles(TlsAcceptor),
    /// Accepts TLS, answers a request well, and closes.
    Good(TlsAcceptor),
}

/// A server for TLS, and what it has seen.
struct TlsServer {
    port: u16,
    does: Mutex<TlsPeer>,
    handshakes: Mutex<Vec<HandshakeKind>>,
    /// Requests to verify a video.
    verified: AtomicUsize,
}

impl TlsServer {
    async fn start(first: TlsPeer) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            does: Mutex::new(first),
            handshakes: Mutex::default(),
            verified: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = Arc::clone(&serving);
                tokio::spawn(async move {
                    let _ = serving.serve(stream, number).await;
                });
            }
        });
        server
    }

    fn does(&self, peer: TlsPeer) {
        *self.does.lock().unwrap() = peer;
    }

    async fn serve(&self, mut stream: TcpStream, number: usize) -> std::io::Result<()> {
        let does = self.does.lock().unwrap().clone();
        let mut hello = [0; 4096];
        let (acceptor, response) = match does {
            TlsPeer::Resets => return stream.set_zero_linger(),
            TlsPeer::ResetsAfterHello => {
                let _ = stream.read(&mut hello).await?;
                return stream.set_zero_linger();
            }
            TlsPeer::Says(bytes) => {
                let _ = stream.read(&mut hello).await?;
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            TlsPeer::Truncates(acceptor, bytes) => (acceptor, Some(bytes)),
            TlsPeer::Garbles(acceptor) => (acceptor, None),
            TlsPeer::Good(acceptor) => (acceptor, Some(good(number))),
        };
        let mut tls = acceptor.accept(stream).await?;
        let kind = tls.get_ref().1.handshake_kind();
        self.handshakes.lock().unwrap().extend(kind);
        let mut request = vec![0; 16_384];
        let length = tls.read(&mut request).await?;
        if request[..length].starts_with(format!("POST {VERIFY} ").as_bytes()) {
            self.verified.fetch_add(1, Ordering::SeqCst);
        }
        match response {
            Some(bytes) => tls.write_all(&bytes).await?,
            None => tls.get_mut().0.write_all(&[0xff; 64]).await?,
        }
        tls.flush().await?;
        tls.get_mut().0.shutdown().await
    }
}

/// A response to either request, with a session of this number.
fn good(number: usize) -> Vec<u8> {
    let body = format!(r#"{{"error_code":0,"result":{{"session_id":"S{number}","code":"0"}}}}"#);
    let text = String::from_utf8(answer("200 OK", &body)).unwrap();
    text.replacen("\r\n", "\r\nConnection: close\r\n", 1).into()
}

/// What a server may do, the status and code of a call, and the code of a retry that finds the
/// server well again.
type TlsCase = (&'static str, TlsPeer, (u16, &'static str), &'static str);

fn cases(authority: &Authority, acceptor: &TlsAcceptor) -> Vec<TlsCase> {
    let certified = |acceptor| TlsPeer::Truncates(acceptor, good(0));
    let truncated = |bytes: &[u8]| TlsPeer::Truncates(acceptor.clone(), bytes.to_vec());
    let expired = authority.acceptor_with(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 2);
    });
    let other_name = authority.acceptor_with(|params| {
        params.subject_alt_names = vec![SanType::DnsName("other.example".try_into().unwrap())];
    });
    let alert = b"\x15\x03\x03\0\x02\x02\x28".to_vec();
    let half = b"\x16\x03\x03\0\x7a\x02\0".to_vec();
    let unending = b"HTTP/1.1 200 OK\r\n\r\n{\"error_code\":0}";
    let unreachable = [
        ("a reset", TlsPeer::Resets),
        ("a reset after the hello", TlsPeer::ResetsAfterHello),
        ("an end after the hello", TlsPeer::Says(vec![])),
        ("an alert", TlsPeer::Says(alert)),
        ("half a record", TlsPeer::Says(half)),
        ("plain HTTP", TlsPeer::Says(answer("400 X", ""))),
        ("nonsense", TlsPeer::Says(vec![0; 64])),
        ("another authority", certified(Authority::new().acceptor())),
        ("another name", certified(other_name)),
        ("an expired certificate", certified(expired)),
    ]
    .map(|(label, peer)| (label, peer, (502, "upstream_unreachable"), ""));
    let unknown = [
        (
            "no TLS after the handshake",
            TlsPeer::Garbles(acceptor.clone()),
        ),
        ("half a response", truncated(&good(0)[..40])),
        (
            "a response that only an end of TLS would end",
            truncated(unending),
        ),
    ]
    .map(|(label, peer)| {
        (
            label,
            peer,
            (502, "upstream_invalid_response"),
            "outcome_unknown",
        )
    });
    let whole = [("a whole response", truncated(&good(0)), (200, ""), "")];
    unreachable
        .into_iter()
        .chain(unknown)
        .chain(whole)
        .collect()
}

/// The status, and the code of a problem.
fn told(answer: &Answer) -> (u16, String) {
    let code = answer.json()["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status.as_u16(), code)
}

#[tokio::test]
async fn a_handshake_that_fails_costs_no_session_and_a_broken_stream_one_call() {
    let authority = Authority::new();
    let acceptor = authority.acceptor();
    let well = || TlsPeer::Good(acceptor.clone());
    let server = TlsServer::start(well()).await;
    let gateway = gateway(server.port, &authority, "broken").await;
    for (label, peer, (status, code), retry) in cases(&authority, &acceptor) {
        server.does(well());
        let upload = verify_body(&session(&gateway).await, b"v");
        server.does(peer);
        let before = server.verified.load(Ordering::SeqCst);
        let first = gateway.post(false, VERIFY, upload.clone()).await;
        assert_eq!(told(&first), (status, code.to_owned()), "{label}");
        server.does(well());
        let again = gateway.post(true, VERIFY, upload).await;
        let status = if retry.is_empty() { 200 } else { 409 };
        assert_eq!(told(&again), (status, retry.to_owned()), "{label}");
        assert_eq!(
            server.verified.load(Ordering::SeqCst),
            before + 1,
            "{label}"
        );
    }
}

#[tokio::test]
async fn a_new_connection_resumes_the_session_of_an_earlier_one() {
    let authority = Authority::new();
    let server = TlsServer::start(TlsPeer::Good(authority.acceptor())).await;
    let gateway = gateway(server.port, &authority, "resumed").await;
    for _ in 0..3 {
        let upload = verify_body(&session(&gateway).await, b"v");
        assert_eq!(gateway.post(false, VERIFY, upload).await.status, 200);
    }
    let handshakes = server.handshakes.lock().unwrap().clone();
    let (first, others) = handshakes.split_first().unwrap();
    assert_eq!(*first, HandshakeKind::Full);
    assert_eq!(others, [HandshakeKind::Resumed; 5]);
}
