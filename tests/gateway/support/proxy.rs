//! An HTTP proxy that opens tunnels by `CONNECT`, or misbehaves in one way, on purpose.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// `ann` and [`PASSWORD`], as Basic authentication sends them.
pub(crate) const LOGIN: &str = "Basic YW5uOk1BUktFUm9mYVBBU1NXT1JE";
pub(crate) const PASSWORD: &str = "MARKERofaPASSWORD";

/// What happens to each connection.
#[derive(Clone)]
pub(crate) enum Does {
    /// Opens the tunnel.
    Tunnel,
    /// Opens the tunnel for this login, and answers 407 to any other.
    TunnelFor(&'static str),
    /// Sends these bytes and closes.
    Answer(Vec<u8>),
    /// Sends these bytes and keeps the connection open.
    AnswerAndStay(Vec<u8>),
    /// Sends the first bytes, and then the second again and again, with a pause before each.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Reads nothing and closes.
    Close,
    /// Reads the request and resets the connection.
    Reset,
    /// Never answers.
    Hang,
    /// Opens the tunnel, and breaks it.
    Break(Cut, Ending),
}

/// When a tunnel is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Once so many bytes have gone to the server.
    Request(usize),
    /// Once so many bytes have come back.
    Response(usize),
    /// Once so many bytes have gone to the server, and it then sends something, which is lost.
    Answer(usize),
    Never,
}

/// How a tunnel is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Close,
    Reset,
}

/// What passed through a tunnel.
#[derive(Clone, Default)]
pub(crate) struct Passed {
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
}

struct State {
    does: Does,
    /// Where tunnels lead, by host and port.
    servers: Vec<(String, SocketAddr)>,
    heads: Vec<String>,
    passed: Vec<Passed>,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy, over TLS if there is an acceptor. `servers` are the hosts that it knows, with their
    /// ports.
    pub(crate) async fn start(tls: Option<TlsAcceptor>, servers: &[(&str, SocketAddr)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let servers = servers.iter();
        let servers = servers.map(|(name, address)| ((*name).to_owned(), *address));
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                does: Does::Tunnel,
                servers: servers.collect(),
                heads: Vec::new(),
                passed: Vec::new(),
            })),
            open: Arc::default(),
        };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (proxy, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    let _open = Counted::new(&proxy.open);
                    // Many of these end because one side closes the connection.
                    let _ = match tls {
                        None => proxy.serve(stream, TcpStream::set_zero_linger).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => {
                                proxy
                                    .serve(stream, |stream| stream.get_ref().0.set_zero_linger())
                                    .await
                            }
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        proxy
    }

    pub(crate) fn does(&self, does: Does) {
        self.state.lock().unwrap().does = does;
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }

    /// What passed through the tunnels that have ended.
    pub(crate) fn passed(&self) -> Vec<Passed> {
        self.state.lock().unwrap().passed.clone()
    }

    /// How many connections to the proxy are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    async fn serve<S>(
        &self,
        mut stream: S,
        reset: impl Fn(&S) -> std::io::Result<()>,
    ) -> std::io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let does = self.state.lock().unwrap().does.clone();
        if matches!(does, Does::Close) {
            return Ok(());
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let is_known =
            |login: &str| head.contains(&format!("\r\nProxy-Authorization: {login}\r\n"));
        let refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        let does = match does {
            Does::TunnelFor(login) if is_known(login) => Does::Tunnel,
            Does::TunnelFor(_) => Does::Answer(refused.to_vec()),
            does => does,
        };
        self.state.lock().unwrap().heads.push(head);
        match does {
            Does::Answer(bytes) => {
                stream.write_all(&bytes).await?;
                stream.shutdown().await
            }
            Does::AnswerAndStay(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                // Until the gateway closes the connection.
                while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {}
                Ok(())
            }
            Does::Endless(first, more, pause) => {
                stream.write_all(&first).await?;
                loop {
                    tokio::time::sleep(pause).await;
                    stream.write_all(&more).await?;
                    stream.flush().await?;
                }
            }
            Does::Reset => reset(&stream),
            Does::Hang => {
                while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {}
                Ok(())
            }
            Does::Break(cut, ending) => {
                self.tunnel(&mut stream, &target, cut).await?;
                match ending {
                    Ending::Close => Ok(()),
                    Ending::Reset => reset(&stream),
                }
            }
            Does::Tunnel | Does::TunnelFor(_) | Does::Close => {
                self.tunnel(&mut stream, &target, Cut::Never).await
            }
        }
    }

    /// Opens a tunnel, and ends it when either side does, or at the cut.
    async fn tunnel<S>(&self, stream: &mut S, target: &str, cut: Cut) -> std::io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let server = {
            let state = self.state.lock().unwrap();
            let server = state.servers.iter().find(|(name, _)| name == target);
            server.map(|(_, address)| *address)
        };
        let Some(server) = server else {
            return stream
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\nno such host")
                .await;
        };
        let mut server = TcpStream::connect(server).await?;
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
            .await?;
        stream.flush().await?;
        let mut passed = Passed::default();
        let (mut from_gateway, mut to_gateway) = tokio::io::split(stream);
        let (mut from_server, mut to_server) = server.split();
        let sent = AtomicUsize::new(0);
        let up = |copied| {
            sent.store(copied, Ordering::SeqCst);
            match cut {
                Cut::Request(most) => most,
                Cut::Response(_) | Cut::Answer(_) | Cut::Never => usize::MAX,
            }
        };
        let down = |copied| match cut {
            Cut::Response(most) => most,
            Cut::Answer(request) if sent.load(Ordering::SeqCst) >= request => copied,
            Cut::Request(_) | Cut::Answer(_) | Cut::Never => usize::MAX,
        };
        tokio::select! {
            _ = copy(&mut from_gateway, &mut to_server, up, &mut passed.up) => {}
            _ = copy(&mut from_server, &mut to_gateway, down, &mut passed.down) => {}
        }
        self.state.lock().unwrap().passed.push(passed);
        Ok(())
    }
}

/// Copies, and keeps what was copied. Ends at `most` bytes, which is asked with the number so far
/// before each piece and again when one has arrived.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    most: impl Fn(usize) -> usize,
    kept: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    while kept.len() < most(kept.len()) {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let read = read.min(most(kept.len()).saturating_sub(kept.len()));
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        kept.extend(&buffer[..read]);
    }
    Ok(())
}

/// One open connection, until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
