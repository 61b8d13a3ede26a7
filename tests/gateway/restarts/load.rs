//! A constant load of small requests and of uploads, over kept connections and new ones, in which
//! each request must succeed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::support::{SESSIONCODE, VERIFY, bearer, verify_body, video};

/// The upstream's response to every request.
pub(crate) const ANSWER: &str = r#"{"error_code":0,"serverlogid":"1","result":{"session_id":"S","code":"12","score":0.9,"action_verify":"pass"}}"#;

type Sender = http1::SendRequest<Full<Bytes>>;

/// The load, until it is [ended](Load::end).
pub(crate) struct Load {
    workers: JoinSet<()>,
    ends: Arc<AtomicBool>,
    done: [Arc<AtomicUsize>; WORKERS],
}

const WORKERS: usize = 4;

impl Load {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let upload: Bytes = verify_body("S", &video(200_000)).into();
        let ends = Arc::<AtomicBool>::default();
        let done: [Arc<AtomicUsize>; WORKERS] = Default::default();
        let mut workers = JoinSet::new();
        for (at, done) in done.iter().enumerate() {
            let (path, body) = match at % 2 {
                0 => (SESSIONCODE, Bytes::from_static(b"{}")),
                _ => (VERIFY, upload.clone()),
            };
            let (ends, done) = (Arc::clone(&ends), Arc::clone(done));
            let user = format!("user-{at}");
            workers.spawn(async move {
                let mut kept: Option<Sender> = None;
                while !ends.load(Ordering::Relaxed) {
                    let sender = match kept.take() {
                        Some(sender) if at < WORKERS / 2 => sender,
                        _ => connect(address).await,
                    };
                    kept = request(sender, &user, path, &body).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    // Connections are not used all the time.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
        }
        Self {
            workers,
            ends,
            done,
        }
    }

    /// Waits until each worker has had five more responses.
    pub(crate) async fn goes_on(&mut self) {
        let now = || {
            self.done
                .each_ref()
                .map(|done| done.load(Ordering::Relaxed))
        };
        let before = now();
        for _ in 0..20_000 {
            let after = now();
            if before
                .iter()
                .zip(&after)
                .all(|(before, after)| *after >= before + 5)
            {
                return;
            }
            if let Some(failed) = self.workers.try_join_next() {
                failed.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the load stands still");
    }

    /// Ends the load. Panics if a request has failed. Returns how many there were.
    pub(crate) async fn end(mut self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        while let Some(worker) = self.workers.join_next().await {
            worker.unwrap();
        }
        self.done.iter().map(|it| it.load(Ordering::Relaxed)).sum()
    }
}

async fn connect(address: SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.expect("not refused");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends a request, which must succeed. Returns the connection if it stays open.
async fn request(mut sender: Sender, user: &str, path: &str, body: &Bytes) -> Option<Sender> {
    let request = Request::post(path)
        .header("host", "gateway")
        .header("authorization", bearer(user))
        .header("content-type", "application/json")
        .body(Full::new(body.clone()))
        .unwrap();
    let response = sender.send_request(request).await.expect("a response");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole response").to_bytes();
    assert_eq!(head.status, 200, "{body:?}");
    let closes = head
        .headers
        .get("connection")
        .is_some_and(|it| it == "close");
    (!closes).then_some(sender)
}
