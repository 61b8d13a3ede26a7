//! An upstream that misbehaves in one way, on purpose.

pub(crate) mod scripted;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, watch},
};

use super::soon;

/// What happens to each request.
#[derive(Clone)]
pub(crate) enum Does {
    /// Sends these bytes and closes.
    Answer(Vec<u8>),
    /// Sends these bytes and keeps the connection open.
    AnswerAndStay(Vec<u8>),
    /// Answers the first request on a connection, and closes silently on the next.
    DieOnReuse(Vec<u8>),
    /// Answers each request, but closes silently on one that comes when this number is another one
    /// than at the last answer: the connection was idle for too long. A request with this text in
    /// its body is closed on instead of answered.
    Expires(Arc<AtomicUsize>, &'static str, Vec<u8>),
    /// Closes the first connection when it is accepted, and answers requests on all others.
    FirstDies(Vec<u8>),
    /// Answers each request with the next of these, repeating the last, and closes.
    InTurn(Vec<Vec<u8>>),
    /// Takes a permit for each request before it answers.
    WhenLet(Arc<Semaphore>, Vec<u8>),
    /// Closes without a response.
    Close,
    /// Never answers.
    Hang,
    /// Begins a response and never ends it: a head, then the same bytes repeatedly.
    Endless(Vec<u8>, Vec<u8>),
    /// Answers before the body has arrived, and closes.
    AnswerEarly(Vec<u8>),
    /// Sends the first of these before the body has arrived, the second afterwards, and closes.
    AnswerTwice(Vec<u8>, Vec<u8>),
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Requests whose head has arrived.
    requests: watch::Receiver<usize>,
    /// Connections accepted so far.
    connections: watch::Receiver<usize>,
    last_body: Arc<Mutex<Vec<u8>>>,
}

impl Upstream {
    pub(crate) fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    /// Waits until the heads of so many requests have arrived.
    pub(crate) async fn until_requests(&self, count: usize) {
        let mut requests = self.requests.clone();
        soon(requests.wait_for(|arrived| *arrived >= count))
            .await
            .unwrap();
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until so many connections have been accepted.
    pub(crate) async fn until_connections(&self, count: usize) {
        let mut connections = self.connections.clone();
        soon(connections.wait_for(|accepted| *accepted >= count))
            .await
            .unwrap();
    }

    /// The last body that arrived completely.
    pub(crate) fn last_body(&self) -> Vec<u8> {
        self.last_body.lock().unwrap().clone()
    }
}

pub(crate) async fn start(does: Does) -> Upstream {
    serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), does)
}

/// An address that refuses connections until its socket listens. No other socket can take it.
pub(crate) fn not_listening() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Serves on a listener that was bound before.
pub(crate) fn serve_on(listener: TcpListener, does: Does) -> Upstream {
    let address = listener.local_addr().unwrap();
    let (counted, requests) = watch::channel(0);
    let counted = Arc::new(counted);
    let (accepted, connections) = watch::channel(0);
    let last_body = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&last_body);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted.send_modify(|count| *count += 1);
            let first = *accepted.borrow() == 1;
            if first && matches!(does, Does::FirstDies(_)) {
                continue;
            }
            let (does, counted, kept) = (does.clone(), Arc::clone(&counted), Arc::clone(&kept));
            tokio::spawn(async move {
                // Most of these end because the gateway closes the connection.
                let _ = serve(stream, does, &counted, &kept).await;
            });
        }
    });
    Upstream {
        address,
        requests,
        connections,
        last_body,
    }
}

async fn serve(
    mut stream: TcpStream,
    does: Does,
    requests: &watch::Sender<usize>,
    last_body: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    if let Does::Expires(time, doomed, bytes) = &does {
        return serve_while_fresh(stream, time, doomed, bytes, requests).await;
    }
    for served in 0.. {
        let length = read_head(&mut stream).await?;
        let before = one_more(requests);
        if let Does::AnswerEarly(bytes) = &does {
            stream.write_all(bytes).await?;
            stream.shutdown().await?;
            drain(&mut stream).await;
            return Ok(());
        }
        if let Does::AnswerTwice(first, _) = &does {
            stream.write_all(first).await?;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        *last_body.lock().unwrap() = body;
        match &does {
            Does::Answer(bytes) | Does::AnswerTwice(_, bytes) => {
                stream.write_all(bytes).await?;
                return stream.shutdown().await;
            }
            Does::InTurn(answers) => {
                let bytes = answers.get(before).or(answers.last()).unwrap();
                stream.write_all(bytes).await?;
                return stream.shutdown().await;
            }
            Does::WhenLet(permits, bytes) => {
                permits.acquire().await.unwrap().forget();
                stream.write_all(bytes).await?;
                return stream.shutdown().await;
            }
            Does::AnswerAndStay(bytes) | Does::FirstDies(bytes) => stream.write_all(bytes).await?,
            Does::DieOnReuse(_) if served > 0 => return Ok(()),
            Does::DieOnReuse(bytes) => stream.write_all(bytes).await?,
            Does::Hang => std::future::pending().await,
            Does::Endless(head, more) => {
                stream.write_all(head).await?;
                loop {
                    stream.write_all(more).await?;
                }
            }
            Does::Close | Does::AnswerEarly(_) | Does::Expires(..) => return Ok(()),
        }
    }
    Ok(())
}

/// Answers requests until the time is another one than at the last answer.
async fn serve_while_fresh(
    mut stream: TcpStream,
    time: &AtomicUsize,
    doomed: &str,
    response: &[u8],
    requests: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let mut last = time.load(Ordering::SeqCst);
    loop {
        let length = read_head(&mut stream).await?;
        one_more(requests);
        if time.load(Ordering::SeqCst) != last {
            return Ok(());
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let mut parts = body.windows(doomed.len());
        if parts.any(|part| part == doomed.as_bytes()) {
            return Ok(());
        }
        stream.write_all(response).await?;
        last = time.load(Ordering::SeqCst);
    }
}

/// Counts a request. Returns how many there were before.
fn one_more(requests: &watch::Sender<usize>) -> usize {
    let mut before = 0;
    requests.send_modify(|count| {
        before = *count;
        *count += 1;
    });
    before
}

async fn drain(stream: &mut TcpStream) {
    let mut unread = vec![0; 65_536];
    while matches!(stream.read(&mut unread).await, Ok(1..)) {}
}

/// Reads the head of a request. Returns the length of its body.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("an exact length");
    assert!(!head.contains("transfer-encoding"));
    Ok(length.parse().unwrap())
}

/// A well-formed response with this status and body.
pub(crate) fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-Reqid: reqid-1\r\n\r\n{body}", body.len()).into()
}
