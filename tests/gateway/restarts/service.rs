//! The built program as a service: a manager that listens to it, sockets that it is given, and its
//! log lines.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, UNBOUND,
    folder::Folder,
    identity,
    program::{Output, PROGRAM, Program},
    routes,
};

/// Starts a program with the descriptors 3 and 4, as a service manager does. The shell becomes the
/// program, so its number is the program's.
const PASS_TWO: &str = "exec 3<&0 4<&2 0</dev/null 2>&1; \
     LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";

/// A folder with a configuration and a copy of the program, and the manager's socket.
pub(crate) struct Service {
    pub(crate) folder: Folder,
    manager: UnixDatagram,
    pub(crate) output: Output,
}

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
            output: Output::default(),
        };
        service.configure(upstream, server, admin);
        service.install("gateway");
        service
    }

    /// Puts the built program into the folder: a link if there can be one, since a copy takes its
    /// time and no test writes to it.
    pub(crate) fn install(&self, name: &str) {
        let path = self.folder.path().join(name);
        if fs::hard_link(PROGRAM, &path).is_err() {
            fs::copy(PROGRAM, &path).unwrap();
        }
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

    /// Puts these `[[identity]]` in the place of the ones that it has.
    pub(crate) fn identify(&self, before: &str, after: &str) {
        let text = fs::read_to_string(self.folder.path().join("gateway.toml")).unwrap();
        assert!(text.contains(before), "{before} is not in {text}");
        self.folder
            .rename_over("gateway.toml", &text.replace(before, after));
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("gateway")
    }

    /// Starts the program, with these sockets if there are any.
    pub(crate) fn start(&self, sockets: Option<[OwnedFd; 2]>) -> Program {
        self.spawn(self.command(sockets))
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
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command
    }

    pub(crate) fn spawn(&self, mut command: Command) -> Program {
        Program::start_into(&mut command, self.output.clone())
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
}

/// A process that is no child of the test. Killed when this is dropped.
pub(crate) struct Stranger(pub(crate) u32);

impl Drop for Stranger {
    fn drop(&mut self) {
        kill(self.0, Signal::KILL);
    }
}

/// Sends a signal, if the process is still there.
pub(crate) fn kill(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
    let _ = kill_process(process, signal);
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
