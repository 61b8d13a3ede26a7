//! A real Redis for one test: on a free port, in its own folder, killed by its process id. With
//! others it is watched by a sentinel ([`watched`]), or a cluster ([`cluster`]).
//!
//! The environment variable `REDIS_SERVER` names another program, such as `valkey-server`.

pub(crate) mod certificate;
pub(crate) mod cluster;
pub(crate) mod watched;

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Redis {
    pub(crate) port: u16,
    folder: PathBuf,
    /// The first arguments.
    first: Vec<String>,
    more: Vec<String>,
    password: Option<String>,
    process: Option<Child>,
}

fn program() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into())
}

/// Whether the program exists. Without it a test is skipped; in CI it fails.
pub(crate) fn is_there() -> bool {
    let found = Command::new(program())
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(found || !ci, "CI has no {}", program());
    if !found {
        eprintln!("skipped: there is no {}", program());
    }
    found
}

/// The key of the store's epoch: since when its primary has been remembering, in milliseconds since
/// 1970, and the primary's id.
const EPOCH: &str = "{liveness-gateway}:epoch";

impl Redis {
    /// A store that has existed for long, so that replicas need not wait for what others publish.
    pub(crate) async fn start() -> Self {
        let redis = Self::start_with::<&str>(&[]).await;
        redis.remembers_since(1).await;
        redis
    }

    /// A store with the ACL user of the documentation, which the gateway logs in as, and more
    /// options.
    pub(crate) async fn guarded(more: &[&str]) -> Self {
        Self::start_with(&[&documented_user(&[]), more].concat()).await
    }

    /// A new store with more options.
    pub(crate) async fn start_with<T: AsRef<str>>(more: &[T]) -> Self {
        Self::start_from(None, more).await
    }

    /// The same; with the text of a file, a sentinel that is configured by it.
    async fn start_from(sentinel: Option<&str>, more: &[impl AsRef<str>]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder = format!("liveness-gateway-redis-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let first = sentinel.map(|text| {
            let file = folder.join("sentinel.conf");
            std::fs::write(&file, text).unwrap();
            vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()]
        });
        let more: Vec<_> = more.iter().map(|word| word.as_ref().to_owned()).collect();
        let password = more.iter().position(|word| word == "--requirepass");
        let mut redis = Self {
            port: 0,
            folder,
            first: first.unwrap_or_default(),
            password: password.map(|at| more[at + 1].clone()),
            more,
            process: None,
        };
        // Another process may take the port before Redis binds it.
        for _ in 0..20 {
            redis.port = free_port();
            redis.spawn();
            if redis.answers().await {
                return redis;
            }
            redis.kill();
        }
        panic!("redis-server does not start");
    }

    /// Sets the epoch, in milliseconds since 1970.
    pub(crate) async fn remembers_since(&self, epoch: i64) {
        let id = self.primary_id().await;
        self.ask(&["SET", EPOCH, &format!("{epoch} {id}")]).await;
    }

    /// Waits until `INFO` has this text in this section.
    pub(crate) async fn until_info(&self, section: &str, part: &str) {
        for _ in 0..4000 {
            let info = self.ask(&["INFO", section]).await.concat();
            if String::from_utf8_lossy(&info).contains(part) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never {part}");
    }

    /// Its id as a primary.
    pub(crate) async fn primary_id(&self) -> String {
        let info = self.ask(&["INFO", "replication"]).await.concat();
        let info = String::from_utf8(info).unwrap();
        let id = info.split("master_replid:").nth(1).unwrap();
        id.split_whitespace().next().unwrap().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None if self.more.iter().any(|word| word == "--user") => {
                format!("redis://gateway:PASSWORD@127.0.0.1:{}", self.port)
            }
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    fn spawn(&mut self) {
        let port = self.port.to_string();
        let child = Command::new(program())
            .args(&self.first)
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--daemonize", "no", "--dir"])
            .arg(&self.folder)
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    async fn answers(&mut self) -> bool {
        for _ in 0..2000 {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            if ended.is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it again on the same port with what is on its disk: nothing, unless its options say
    /// so.
    pub(crate) async fn start_again(&mut self) {
        self.kill();
        self.spawn();
        assert!(self.answers().await, "redis-server does not start again");
    }

    /// Clears the disk of a killed store.
    pub(crate) fn forget(&self) {
        assert!(self.process.is_none());
        std::fs::remove_dir_all(&self.folder).unwrap();
        std::fs::create_dir_all(&self.folder).unwrap();
    }

    /// Sends a signal: `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Sends a command. Returns the bulk strings and other values of the reply, in order.
    pub(crate) async fn ask(&self, words: &[&str]) -> Vec<Vec<u8>> {
        let mut stream =
            BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap());
        if let Some(password) = &self.password {
            stream
                .write_all(&command(&["AUTH", password]))
                .await
                .unwrap();
            read_values(&mut stream).await;
        }
        stream.write_all(&command(words)).await.unwrap();
        read_values(&mut stream).await
    }

    /// The commands that users were not allowed to run.
    pub(crate) async fn denied(&self) -> Vec<String> {
        let log = self.ask(&["ACL", "LOG"]).await;
        log.iter()
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect()
    }

    pub(crate) async fn keys(&self, pattern: &str) -> Vec<String> {
        let keys = self.ask(&["KEYS", pattern]).await;
        keys.into_iter()
            .map(|key| String::from_utf8(key).unwrap())
            .collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The options for the ACL user of the documentation, which may do more.
fn documented_user<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let page = include_str!("../../../docs/store.md");
    let line = page.lines().find(|line| line.contains("ACL SETUSER"));
    let words = line.unwrap().split_whitespace().skip(2);
    let words = ["--user"].into_iter().chain(words);
    words.chain(more.iter().copied()).collect()
}

/// A permission, if the documentation says that it is needed.
fn documented(permission: &str) -> &str {
    let page = include_str!("../../../docs/store.md");
    assert!(page.contains(&format!("`{permission}`")), "{permission}");
    permission
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    text.into_bytes()
}

async fn read_values(stream: &mut BufReader<TcpStream>) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    let mut left = 1_i64;
    while left > 0 {
        left -= 1;
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end();
        let (kind, rest) = line.split_at(1);
        match kind {
            "*" => left += rest.parse::<i64>().unwrap().max(0),
            "$" if rest == "-1" => {}
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                stream.read_exact(&mut bytes).await.unwrap();
                bytes.truncate(bytes.len() - 2);
                values.push(bytes);
            }
            _ => values.push(rest.as_bytes().to_vec()),
        }
    }
    values
}
