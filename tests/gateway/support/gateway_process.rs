//! A gateway in a process of its own: the built program.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use super::{
    ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, UNBOUND,
    folder::Folder,
    identity,
    program::{PROGRAM, Program},
    raw, routes,
};

/// The program, started by a shell that sets a limit first.
pub(crate) struct GatewayProcess {
    program: Program,
    folder: Folder,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl GatewayProcess {
    /// Starts it in front of `upstream`, behind this command `ulimit`. `server` are keys of
    /// `[server]`.
    pub(crate) async fn start(ulimit: &str, upstream: SocketAddr, server: &str) -> Self {
        let identity = identity::section(ISSUER, "secret = { env = \"JWT\" }");
        let configuration = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [qiniu]\nendpoint = \"http://{upstream}\"\n\
             access_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n\
             {identity}{UNBOUND}{}",
            routes().replace("timeout = \"2s\"", "timeout = \"1min\"")
        );
        let folder = Folder::with(&[("gateway.toml", &configuration)]);
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("ulimit {ulimit} && exec \"$0\" \"$@\""))
            .arg(PROGRAM)
            .args(["serve", "--config"])
            .arg(folder.path().join("gateway.toml"))
            .env_clear()
            .envs([("AK", ACCESS_KEY), ("SK", SECRET_KEY), ("JWT", SECRET)])
            .stdin(Stdio::null());
        let program = Program::start(&mut command);
        let address = program.output.address("listening").await;
        let admin = program.output.address("admin listening").await;
        Self {
            program,
            folder,
            address,
            admin,
        }
    }

    /// Replaces a part of its configuration file.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.folder.path().join("gateway.toml")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.folder
            .rename_over("gateway.toml", &text.replace(from, to));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// The events whose message begins so.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        let begin = begin(message);
        let mut lines = self.program.output.lines();
        lines.retain(|line| line.contains(&begin));
        lines.iter().map(|line| parsed(line)).collect()
    }

    /// Waits for the first of them.
    pub(crate) async fn line(&self, message: &str) -> Value {
        parsed(&self.program.output.line(&begin(message)).await)
    }

    /// Changes its configuration file like this, and asks it to read the file.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let file = self.folder.path().join("gateway.toml");
        let text = change(std::fs::read_to_string(&file).unwrap());
        std::fs::write(&file, text).unwrap();
        self.signal(Signal::HUP);
    }

    /// The lines of `/proc` about this process.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.program.id())).unwrap()
    }

    /// The processor time used so far, in hundredths of a second (proc(5), `stat`).
    pub(crate) fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let times = fields.split(' ').skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    pub(crate) async fn probe(&self) -> String {
        let request = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let probe = raw::ask(self.admin, request);
        // The silent connections beside it would have five seconds each.
        tokio::time::timeout(Duration::from_secs(4), probe)
            .await
            .unwrap()
    }
}

/// The event's message in its line, as it begins.
fn begin(message: &str) -> String {
    format!("\"message\":\"{message}")
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}
