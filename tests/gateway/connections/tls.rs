//! TLS: protocols by ALPN, the timeout of the handshake, client certificates, unusable files.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    certificates,
    peer::{GET, connect, read_all, settings, start},
};
use crate::support::soon;

#[tokio::test]
async fn both_protocols_are_offered_by_alpn() {
    let (files, roots) = certificates::files();
    let mut secure = settings();
    secure.tls = Some(files.server_config(None).unwrap());
    let running = start(secure).await;
    for (alpn, version) in [
        (&b"h2"[..], hyper::Version::HTTP_2),
        (b"http/1.1", hyper::Version::HTTP_11),
    ] {
        let tls = certificates::connect(running.public, &roots, &[alpn]).await;
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(alpn));
        let io = TokioIo::new(tls);
        let request = Request::post("https://localhost/")
            .body(Full::new(Bytes::from(vec![1; 700_000])))
            .unwrap();
        let response = if version == hyper::Version::HTTP_2 {
            let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .unwrap();
            tokio::spawn(connection);
            soon(sender.send_request(request)).await.unwrap()
        } else {
            let (mut sender, connection) = conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            soon(sender.send_request(request)).await.unwrap()
        };
        assert_eq!(response.version(), version);
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "700000 tls=true"
        );
    }
    // Without ALPN it is HTTP/1.1.
    let mut tls = certificates::connect(running.public, &roots, &[]).await;
    tls.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon(tls.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("0 tls=true"), "{answer}");
}

#[tokio::test]
async fn a_tls_handshake_has_the_head_timeout() {
    let (files, _) = certificates::files();
    let mut secure = settings();
    secure.tls = Some(files.server_config(None).unwrap());
    secure.head_timeout = Duration::from_millis(50);
    let running = start(secure).await;
    assert_eq!(read_all(&mut connect(running.public, "").await).await, "");
}

#[tokio::test]
async fn clients_without_a_certificate_of_the_client_ca_are_rejected() {
    let (files, roots) = certificates::files();
    let mut secure = settings();
    secure.tls = Some(files.server_config(Some(&files.certificate)).unwrap());
    let running = start(secure).await;
    let mut tls = certificates::connect(running.public, &roots, &[b"http/1.1"]).await;
    let _ = tls.write_all(GET.as_bytes()).await;
    assert!(soon(tls.read_u8()).await.is_err());
}

#[test]
fn errors_in_tls_files_name_the_file_and_suggest_a_fix() {
    let (files, _) = certificates::files();
    let (others, _) = certificates::files();
    let config = |certificate, key| {
        certificates::server_config(certificate, key, None)
            .map(drop)
            .unwrap_err()
    };
    let mismatch = config(&files.certificate, &others.key);
    assert!(
        mismatch.contains("does not belong")
            && mismatch.contains(&others.key.display().to_string()),
        "{mismatch}"
    );
    let swapped = config(&files.key, &files.certificate);
    assert!(
        swapped.contains("contains none") && swapped.contains("CERTIFICATE"),
        "{swapped}"
    );
    assert!(config(&files.certificate, &files.certificate).contains("private key"));
}
