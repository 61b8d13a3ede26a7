//! An upstream that follows scripts, down to the single byte.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};

use super::answer;

/// What the upstream does with a connection, one after the other. At the end, it waits for the
/// gateway to close it.
#[derive(Clone)]
pub(crate) enum Step {
    /// Reads this many bytes of the request.
    Read(usize),
    /// Reads the head of the request.
    Head,
    /// Reads the head and the body of the request.
    Request,
    /// Reads the rest of the request but for its last byte.
    NearlyAll,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one by one, with a pause after each.
    Drip(Vec<u8>),
    /// Sends these bytes repeatedly.
    Endless(Vec<u8>),
    /// Sends no more.
    Fin,
    /// Resets the connection.
    Reset,
    /// Waits for others.
    Meet(Arc<Barrier>),
}

impl Step {
    fn reads(&self) -> bool {
        matches!(self, Read(_) | Head | Request | NearlyAll)
    }
}

use Step::{Drip, Endless, Fin, Head, Meet, NearlyAll, Read, Request, Reset, Send};

/// An upstream that follows scripts.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    /// In turn, one for each connection that begins.
    scripts: Mutex<VecDeque<Vec<Step>>>,
    /// Connections on which a byte has arrived.
    pub(crate) begun: AtomicUsize,
    /// Connections that are not closed.
    pub(crate) open: AtomicUsize,
}

impl Scripted {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scripted = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            scripts: Mutex::default(),
            begun: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let server = Arc::clone(&scripted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.open.fetch_add(1, Ordering::SeqCst);
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    let _ = server.follow(stream).await;
                    server.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        scripted
    }

    async fn follow(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufStream::new(stream);
        // A connection may be opened long before its request comes.
        if self.begins_with_the_request() {
            stream.fill_buf().await?;
        }
        let script = {
            let mut scripts = self.scripts.lock().unwrap();
            scripts.rotate_left(1);
            scripts.back().cloned().unwrap_or_default()
        };
        let mut begun = false;
        for step in script {
            if step.reads() && !stream.fill_buf().await?.is_empty() && !begun {
                begun = true;
                self.begun.fetch_add(1, Ordering::SeqCst);
            }
            match step {
                Read(bytes) => skip(&mut stream, bytes).await?,
                Head => drop(head(&mut stream).await?),
                NearlyAll => {
                    let length = head(&mut stream).await?;
                    skip(&mut stream, length - 1).await?;
                }
                Request => {
                    let length = head(&mut stream).await?;
                    skip(&mut stream, length).await?;
                }
                Send(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
                Drip(bytes) => {
                    for byte in bytes {
                        stream.write_u8(byte).await?;
                        stream.flush().await?;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                Endless(bytes) => loop {
                    stream.write_all(&bytes).await?;
                },
                Fin => stream.shutdown().await?,
                Reset => return stream.get_ref().set_zero_linger(),
                Meet(others) => {
                    others.wait().await;
                }
            }
        }
        let mut rest = vec![0; 65_536];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    }

    fn begins_with_the_request(&self) -> bool {
        let scripts = self.scripts.lock().unwrap();
        let next = scripts.front().and_then(|script| script.first());
        next.is_some_and(Step::reads)
    }

    /// Follows these from now on.
    pub(crate) fn follow_scripts(&self, scripts: impl IntoIterator<Item = Vec<Step>>) {
        *self.scripts.lock().unwrap() = scripts.into_iter().collect();
    }
}

/// Answers a request well, and closes.
pub(crate) fn good(body: &str) -> [Step; 2] {
    let closing = answer("200 OK", body);
    let text = String::from_utf8(closing).unwrap();
    let closing = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    [Request, Send(closing.into())]
}

async fn skip(stream: &mut BufStream<TcpStream>, bytes: usize) -> std::io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let there = stream.fill_buf().await?.len().min(left);
        if there == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        stream.consume(there);
        left -= there;
    }
    Ok(())
}

/// Reads the head of a request. Returns the length of its body.
async fn head(stream: &mut BufStream<TcpStream>) -> std::io::Result<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            return Ok(length);
        }
    }
}
