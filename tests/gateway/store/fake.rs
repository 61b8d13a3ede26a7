//! A scripted stand-in for a Redis, for what a real one does seldom or only by force: it replies to
//! the gateway's scripts as one that knows nothing, and refuses some of them on demand.
//!
//! It runs without any program. It listens on a Unix socket, so that a test can lead the same name
//! to another store, by a symbolic link; or on a port, as a server that others announce, or as a
//! sentinel or a node that announces others.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, UnixListener},
};

#[derive(Default)]
struct State {
    connections: usize,
    commands: usize,
    scripts: usize,
    /// The keys of each script that it was asked to run, and the number of the connection.
    asked: Vec<(String, usize)>,
    /// What its heartbeat returns: every store has another.
    epoch: u16,
    /// The reply to scripts with such a key, in place of the usual one.
    refusal: Option<(String, String)>,
    /// The replies to other commands that begin with such words.
    replies: Vec<(String, String)>,
    /// The user and password that it wants first.
    login: Option<String>,
}

pub(crate) struct FakeStore {
    path: PathBuf,
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl FakeStore {
    /// Listens on this path, which must not exist.
    pub(crate) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            path: path.to_owned(),
            port: 0,
            state,
        }
    }

    /// Listens on a port of this machine.
    pub(crate) async fn on_port() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        state.lock().unwrap().epoch = port;
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        let path = PathBuf::new();
        Self { path, port, state }
    }

    /// Replies with these bytes to commands that begin with `words`; with none it says nothing.
    pub(crate) fn replies(self, words: &str, bytes: &str) -> Self {
        let reply = (words.to_owned(), bytes.to_owned());
        self.state.lock().unwrap().replies.insert(0, reply);
        self
    }

    /// Wants `AUTH` with these words before anything else.
    pub(crate) fn wants_login(self, login: &str) -> Self {
        self.state.lock().unwrap().login = Some(login.to_owned());
        self
    }

    /// Replies with these bytes to every script that has a key with `part` in it.
    pub(crate) fn reply(&self, part: &str, bytes: &str) {
        self.state.lock().unwrap().refusal = Some((part.to_owned(), bytes.to_owned()));
    }

    /// Replies as usual again.
    pub(crate) fn recover(&self) {
        self.state.lock().unwrap().refusal = None;
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// How many commands it got, scripts included.
    pub(crate) fn commands(&self) -> usize {
        self.state.lock().unwrap().commands
    }

    /// How many scripts it was asked to run that have a key with `part` in it.
    pub(crate) fn asked(&self, part: &str) -> usize {
        let state = self.state.lock().unwrap();
        state
            .asked
            .iter()
            .filter(|(keys, _)| keys.contains(part))
            .count()
    }

    /// The number of the connection over which the last of these came.
    pub(crate) fn last_came_over(&self, part: &str) -> usize {
        let state = self.state.lock().unwrap();
        let mut last = state.asked.iter().rev();
        last.find(|(keys, _)| keys.contains(part)).unwrap().1
    }

    /// How many scripts it was asked to run.
    pub(crate) fn scripts(&self) -> usize {
        self.state.lock().unwrap().scripts
    }

    /// Makes `link` lead here, at once.
    pub(crate) fn takes(&self, link: &Path) {
        lead(link, &self.path);
    }
}

/// Makes `link` a symbolic link to `target`, in one step.
pub(crate) fn lead(link: &Path, target: &Path) {
    let new = link.with_extension("new");
    std::os::unix::fs::symlink(target, &new).unwrap();
    std::fs::rename(&new, link).unwrap();
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let mut logged_in = false;
    let number = {
        let mut state = state.lock().unwrap();
        state.connections += 1;
        state.connections
    };
    while let Some(words) = command(&mut stream).await {
        let reply = {
            let mut state = state.lock().unwrap();
            state.commands += 1;
            if let ["EVALSHA" | "EVAL", _, count, rest @ ..] = &texts(&words)[..] {
                let keys = rest[..count.parse().unwrap()].join(" ");
                state.asked.push((keys, number));
            }
            let login = state.login.as_ref().map(|login| format!("AUTH {login}"));
            match login {
                Some(login) if words.join(" ") == login => {
                    logged_in = true;
                    "+OK\r\n".into()
                }
                Some(_) if words[0] == "AUTH" => "-WRONGPASS of the test\r\n".into(),
                Some(_) if !logged_in => "-NOAUTH of the test\r\n".into(),
                _ => reply(&words, &mut state),
            }
        };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The words of the next command; `None` at the end.
async fn command(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..number(stream).await? {
        let length = number(stream).await?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    Some(words)
}

/// The number in a line such as `*3` or `$12`.
async fn number(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().get(1..)?.parse().ok()
}

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn reply(words: &[String], state: &mut State) -> String {
    let ["EVALSHA" | "EVAL", _, count, rest @ ..] = &texts(words)[..] else {
        let line = words.join(" ");
        let mut replies = state.replies.iter();
        let reply = replies.find(|(begins, _)| line.starts_with(begins.as_str()));
        return reply.map_or("+OK\r\n".into(), |(_, bytes)| bytes.clone());
    };
    state.scripts += 1;
    let keys = &rest[..count.parse().unwrap()];
    if let Some((part, bytes)) = &state.refusal
        && keys.iter().any(|key| key.contains(part.as_str()))
    {
        return bytes.clone();
    }
    match keys {
        [_, _, _] => "*1\r\n$8\r\nacquired\r\n",
        [rate] if rate.contains(":rate:") => "*2\r\n:1\r\n:5\r\n",
        [quota] if quota.contains(":quota:") => "*4\r\n:1\r\n:0\r\n:0\r\n:0\r\n",
        [epoch] if epoch.contains(":epoch") => return format!(":{}\r\n", state.epoch),
        _ => ":1\r\n",
    }
    .into()
}
