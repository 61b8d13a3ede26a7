//! An image of the memory of a gateway whose requests have ended: nothing of them is in it.
//!
//! The gateway is a process of its own, with its secrets in files. Its memory is read through
//! `/proc`, and as a core image that gdb takes. Both need a privileged user, since the gateway is
//! not dumpable; without one, the test is skipped outside of CI.
//!
//! Buffers of hyper and h2 hold what a frontend sent as it was on the connection, and hyper's what
//! it got. Nobody wipes these. So one test looks only for what never was on such a connection: what
//! Qiniu sent, what the gateway decoded, encoded or put together. The other one lets the allocator
//! overwrite all that is freed, and looks for everything.

use std::net::SocketAddr;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use hyper::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    chunked::Chunked,
    sent::{Sent, SentAs, random},
    served::Served,
};
use crate::support::{
    ISSUER, SESSIONCODE, VERIFY, backend, form, raw, routes, send, upstream::answer, verify_body,
};

/// Sizes of the videos, in bytes, and how they are sent: some fit beside their heads, some are
/// copied into blocks, some are held as they arrived.
const VIDEOS: [(usize, SentAs); 8] = [
    (4_000, SentAs::Json),
    (90_000, SentAs::Json),
    (300_000, SentAs::Json),
    (4_000, SentAs::Raw),
    (90_000, SentAs::Raw),
    (300_000, SentAs::Raw),
    (4_000, SentAs::Form),
    (300_000, SentAs::Form),
];

/// Those that are sent in chunks.
const IN_CHUNKS: [(usize, SentAs); 3] = [
    (4_000, SentAs::Json),
    (12_000, SentAs::Json),
    (12_000, SentAs::Form),
];

fn configuration(upstream: SocketAddr, evidence: SocketAddr) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [log]\nlevel = \"trace\"\n\
         [qiniu]\nendpoint = \"http://{upstream}\"\n\
         access_key = {{ file = \"ak\" }}\nsecret_key = {{ file = \"sk\" }}\n\
         [[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\n\
         secret = {{ file = \"jwt\" }}\n\
         [sessions]\nseal_key = {{ file = \"seal\" }}\n\
         [verdict]\nsigning_key = {{ file = \"verdict\" }}\n\
         issuer = \"https://gateway.example.com\"\naudience = \"backend\"\nvideo_digest = true\n\
         [evidence]\nurl = \"http://{evidence}/liveness\"\nsecret = {{ file = \"webhook\" }}\n{}",
        routes()
    )
}

/// A Qiniu whose session ids and pictures are noted.
async fn qiniu(sent: Sent) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Ends with the connection.
            let sent = sent.clone();
            tokio::spawn(async move { serve(stream, &sent).await.is_ok() });
        }
    });
    address
}

async fn serve(mut stream: TcpStream, sent: &Sent) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        stream
            .read_exact(&mut vec![0; length.unwrap().parse().unwrap()])
            .await?;
        let result = if head.contains(SESSIONCODE) {
            let id = BASE64URL_NOPAD.encode(&random(24));
            sent.note("Qiniu's session id", id.as_str());
            format!("{{\"session_id\":\"{id}\",\"code\":\"123\"}}")
        } else {
            let pictures = [3_000, 80_000].map(|size| BASE64.encode(&random(size)));
            for picture in &pictures {
                sent.note("picture", picture.as_str());
                sent.note(
                    "picture, decoded",
                    BASE64.decode(picture.as_bytes()).unwrap(),
                );
            }
            let [best, other] = pictures;
            format!(
                "{{\"action_verify\":\"pass\",\"score\":0.99,\"maxspoofing\":0.01,\
                 \"thresholds\":{{\"frr_1e-3\":0.3}},\"best_image\":{{\"pic\":\"{best}\"}},\
                 \"pic_list\":[{{\"pic\":\"{other}\"}}]}}"
            )
        };
        let body = format!("{{\"error_code\":0,\"serverlogid\":\"1\",\"result\":{result}}}");
        stream.write_all(&answer("200 OK", &body)).await?;
    }
}

/// Requests of all kinds: those that pass, and those that end early.
async fn use_it(gateway: &Served, sent: &Sent, http2: bool) {
    let name = if http2 { "HTTP/2" } else { "HTTP/1.1" };
    let user = format!("user over {name}");
    let request = |path: &str, token: &str| {
        let request = Request::post(match http2 {
            true => format!("http://{}{path}", gateway.address),
            false => path.to_owned(),
        });
        let request = request.header("authorization", token);
        match http2 {
            true => request,
            false => request.header("host", "g"),
        }
    };
    let post =
        async |request, body: Vec<u8>| send(gateway.address, http2, request, body.into()).await;
    for (size, sent_as) in VIDEOS {
        let token = sent.token(name, &user);
        let json = |path| request(path, &token).header("content-type", "application/json");
        let session = post(json(SESSIONCODE), b"{}".to_vec()).await;
        let id = session.json()["result"]["session_id"]
            .as_str()
            .unwrap()
            .to_owned();
        sent.sealed(name, &id);
        let video = sent.video(name, size, sent_as);
        let body = match sent_as {
            SentAs::Json => verify_body(&id, &video).into(),
            SentAs::Raw => video,
            SentAs::Form => form::upload(&id, &video),
        };
        let verify = |token: &str, id: &str| match sent_as {
            SentAs::Json => request(VERIFY, token).header("content-type", "application/json"),
            SentAs::Form => request(VERIFY, token).header("content-type", form::MEDIA),
            SentAs::Raw => {
                let request = request(VERIFY, token).header("content-type", "video/mp4");
                request.header("liveness-session", id)
            }
        };
        let other = sent.token(name, "another user");
        let wrong = [
            verify(&other, &id),
            verify(&format!("{token}A"), &id),
            request(VERIFY, &token).header("content-type", "text/plain"),
            json(SESSIONCODE).header("content-encoding", "gzip"),
        ];
        for request in wrong {
            let answer = post(request, body.clone()).await;
            assert!(answer.status.is_client_error(), "{answer:?}");
        }
        // The second is a retry.
        for _ in 0..2 {
            let answer = post(verify(&token, &id), body.clone()).await;
            assert_eq!(answer.json()["error_code"], 0, "{answer:?}");
        }
    }
}

/// Requests in chunks of a few bytes.
async fn use_it_in_chunks(gateway: &Served, qiniu: SocketAddr, sent: &Sent) {
    let sent = &sent.as_received();
    for (size, sent_as) in IN_CHUNKS {
        let upload = Chunked::new(qiniu, size, sent_as, sent);
        let uploads = [
            ("somebody else", upload.body.clone(), 403),
            ("user", upload.broken(), 400),
            ("user", upload.body.clone(), 200),
            ("user", upload.body.clone(), 200),
        ];
        upload.send(gateway, &uploads).await;
    }
    // The next upload may overwrite what one has left. So many are refused, and none succeeds.
    for (size, sent_as) in IN_CHUNKS.repeat(7) {
        let upload = Chunked::new(qiniu, size, sent_as, sent);
        let uploads = upload.forged().map(|body| ("user", body, 403));
        upload.send(gateway, &uploads).await;
    }
    // hyper never has a head whose first line is wrong.
    let token = sent.token("broken head", "user");
    let head = format!("POST {VERIFY} HTTP/1.1\nHost: g\r\nAuthorization: {token}\r\n\r\n");
    let answer = raw::ask(gateway.address, &head).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// An upload that stays half sent.
async fn half(gateway: &Served, sent: &Sent) -> TcpStream {
    let length = "Content-Length: 1000000";
    let token = sent.token("half", "half");
    let video = BASE64.encode(&sent.video("half", 300_000, SentAs::Json));
    let head = raw::head("half", VERIFY, length).replace("Authorization", "X");
    let head = head.replace("Host: g", &format!("Host: g\r\nAuthorization: {token}"));
    let text = format!("{head}{{\"video_base64\":\"{video}");
    raw::begin(gateway.address, &text).await
}

/// Waits until all requests and connections have ended, and looks for what was sent.
async fn look(gateway: &Served, sent: &Sent, by_gdb: bool) {
    let over = [
        "liveness_gateway_connections 0\n",
        "liveness_gateway_requests_in_flight 0\n",
    ];
    gateway.metrics(&over).await;
    let texts = sent.texts();
    let mut memory = gateway.memory().unwrap();
    memory.push(gateway.outputs());
    let found = texts.found_in(&memory);
    assert!(found.is_empty(), "{found:#?}");
    match by_gdb.then(|| gateway.core()) {
        None => {}
        Some(Some(core)) => {
            let found = texts.found_in(&core);
            assert!(found.is_empty(), "{found:#?}");
        }
        Some(None) => assert!(std::env::var("CI").is_err(), "CI has gdb"),
    }
}

/// Whether this process may read the memory of the gateway, and finds what is there.
async fn can_look(gateway: &Served) -> bool {
    let sent = Sent::default().as_received();
    let begun = half(gateway, &sent).await;
    let arrived = "liveness_gateway_body_memory_bytes 1000000\n";
    gateway.metrics(&[arrived]).await;
    let Some(memory) = gateway.memory() else {
        assert!(std::env::var("CI").is_err(), "CI may read it");
        return false;
    };
    let found = sent.texts().found_in(&memory);
    for kind in ["half: token", "half: video in base64"] {
        assert!(found.iter().any(|found| found.name == kind), "{kind}");
    }
    drop(begun);
    true
}

#[tokio::test]
async fn nothing_of_a_request_stays_in_the_memory_of_the_process() {
    let sent = Sent::default();
    let (qiniu, backend) = (qiniu(sent.clone()).await, backend::start(backend::OK).await);
    let gateway = Served::start(&configuration(qiniu, backend.address), &[]).await;
    if !can_look(&gateway).await {
        return;
    }
    use_it(&gateway, &sent, false).await;
    use_it(&gateway, &sent, true).await;
    use_it_in_chunks(&gateway, qiniu, &sent).await;
    look(&gateway, &sent, true).await;
}

/// With freed memory overwritten by glibc, what hyper and h2 have freed is gone, too.
#[tokio::test]
async fn no_buffer_of_any_library_keeps_a_request() {
    const OVERWRITE: &str = "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0";
    let sent = Sent::default().as_received();
    let (qiniu, backend) = (qiniu(sent.clone()).await, backend::start(backend::OK).await);
    let overwrite = [("GLIBC_TUNABLES", OVERWRITE)];
    let gateway = Served::start(&configuration(qiniu, backend.address), &overwrite).await;
    if !can_look(&gateway).await {
        return;
    }
    use_it(&gateway, &sent, false).await;
    use_it(&gateway, &sent, true).await;
    use_it_in_chunks(&gateway, qiniu, &sent).await;
    look(&gateway, &sent, false).await;
}
