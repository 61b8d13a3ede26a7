//! The built program as a service: a manager that listens to it, sockets that it is given, and its
//! log lines.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{
    ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, UNBOUND, folder::Folder, identity, routes,
};

/// Starts a program with the descriptors 3 and 4, as a service manager does. The shell becomes the
/// program, so its number is the program's.
const PASS_TWO: &str = "exec 3<&0 4<&2 0</dev/null 2>&1; \
     LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";

/// A folder with a configuration and a copy of the program, and the manager's socket.
pub(crate) struct Service {
    pub(crate) folder: Folder,
    manager: UnixDatagram,
    lines: Arc<Mutex<Vec<String>>>,
}

/// A process of the program. Killed when it is dropped.
pub(crate) struct Process(pub(crate) Child);

impl Service {
    /// `server` are keys of `[server]`, which has its `listen`.
    pub(crate) fn new(upstream: SocketAddr, server: &str, admin: &str) -> Self {
        let folder = Folder::with(&[]);
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let service = Self {
            folder,
            manager,
            lines: Arc::default(),
        };
        service.configure(upstream, server, admin);
        fs::copy(env!("CARGO_BIN_EXE_liveness-gateway"), service.program()).unwrap();
        service
    }

    pub(crate) fn configure(&self, upstream: SocketAddr, server: &str, admin: &str) {
        let identity = identity::section(ISSUER, "secret = { env = \"JWT\" }");
        let text = format!(
            "[server]\n{server}\n[admin]\nlisten = \"{admin}\"\n\
             [qiniu]\nendpoint = \"http://{upstream}\"\n\
             access_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n\
             {identity}{UNBOUND}{}",
            routes()
        );
        self.folder.rename_over("gateway.toml", &text);
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("gateway")
    }

    /// Starts the program, with these sockets if there are any.
    pub(crate) fn start(&self, sockets: Option<[OwnedFd; 2]>) -> Process {
        let command = self.command(sockets);
        self.spawn(command)
    }

    pub(crate) fn command(&self, sockets: Option<[OwnedFd; 2]>) -> Command {
        let mut command = match sockets {
            None => Command::new(self.program()),
            Some(_) => Command::new("/bin/sh"),
        };
        if let Some([first, second]) = sockets {
            command.args(["-c", PASS_TWO]).arg(self.program());
            command.stdin(first).stderr(second);
        } else {
            command.stdin(Stdio::null());
        }
        command
            .args(["serve", "--config"])
            .arg(self.folder.path().join("gateway.toml"))
            .env_clear()
            .envs([("AK", ACCESS_KEY), ("SK", SECRET_KEY), ("JWT", SECRET)])
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .stdout(Stdio::piped());
        command
    }

    pub(crate) fn spawn(&self, mut command: Command) -> Process {
        use std::io::{BufRead, BufReader};
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::clone(&self.lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
            lines.lock().unwrap().push("the end of the output".into());
        });
        Process(child)
    }

    /// The next message to the manager that is no status.
    pub(crate) fn message(&self) -> String {
        loop {
            let mut message = [0; 512];
            let length = self.manager.recv(&mut message).unwrap();
            let message = String::from_utf8(message[..length].to_vec()).unwrap();
            if !message.starts_with("STATUS=") {
                return message;
            }
        }
    }

    /// The next status.
    pub(crate) fn status(&self) -> String {
        loop {
            let mut message = [0; 512];
            let length = self.manager.recv(&mut message).unwrap();
            let message = String::from_utf8(message[..length].to_vec()).unwrap();
            if let Some(status) = message.strip_prefix("STATUS=") {
                return status.to_owned();
            }
        }
    }

    /// Waits for the log line of an event that contains `part`, behind the first `seen` lines.
    /// Returns it and how many lines there are up to it.
    pub(crate) async fn line_behind(&self, seen: usize, part: &str) -> (String, usize) {
        for _ in 0..20_000 {
            let lines = self.lines.lock().unwrap().clone();
            let found = lines.iter().enumerate().skip(seen);
            let found = found.into_iter().find(|(_, line)| line.contains(part));
            if let Some((at, line)) = found {
                return (line.clone(), at + 1);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("no line contains {part}: {:#?}", self.lines.lock().unwrap());
    }

    pub(crate) async fn line(&self, part: &str) -> String {
        self.line_behind(0, part).await.0
    }

    /// The address that a process has logged behind the first `seen` lines.
    pub(crate) async fn address(&self, message: &str) -> SocketAddr {
        let line = self.line(&format!("\"message\":\"{message}\"")).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(self.id(), signal);
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        for _ in 0..20_000 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the process does not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that is no child of the test. Killed when this is dropped.
pub(crate) struct Stranger(pub(crate) u32);

impl Drop for Stranger {
    fn drop(&mut self) {
        kill(self.0, "-KILL");
    }
}

pub(crate) fn kill(process: u32, signal: &str) {
    let id = process.to_string();
    let mut kill = Command::new("kill");
    drop(kill.args([signal, &id]).stderr(Stdio::null()).status());
}

/// A listening socket, and copies of it to pass on.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The sockets that a process has open, as the kernel names them; `None` where that is hidden.
pub(crate) fn sockets(process: u32) -> Option<Vec<PathBuf>> {
    let folder = Path::new("/proc").join(process.to_string()).join("fd");
    let open = fs::read_dir(folder).ok()?;
    let links = open.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
    let is_socket = |path: &PathBuf| path.to_string_lossy().starts_with("socket:");
    Some(links.filter(is_socket).collect())
}
