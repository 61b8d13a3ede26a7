//! A gateway in a process of its own: the built program.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, UNBOUND, folder::Folder, identity, raw, routes,
};

/// The program, started by a shell that sets a limit first. Killed when it is dropped.
pub(crate) struct GatewayProcess {
    child: Child,
    folder: Folder,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    lines: Arc<Mutex<Vec<Value>>>,
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
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("ulimit {ulimit} && exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_liveness-gateway"))
            .args(["serve", "--config"])
            .arg(folder.path().join("gateway.toml"))
            .env_clear()
            .envs([("AK", ACCESS_KEY), ("SK", SECRET_KEY), ("JWT", SECRET)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                kept.lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap());
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            child,
            folder,
            address: nowhere,
            admin: nowhere,
            lines,
        };
        let address = |line: &Value| line["address"].as_str().unwrap().parse().unwrap();
        gateway.address = address(&gateway.line("listening").await);
        gateway.admin = address(&gateway.line("admin listening").await);
        gateway
    }

    /// Replaces a part of its configuration file.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.folder.path().join("gateway.toml")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.folder
            .rename_over("gateway.toml", &text.replace(from, to));
    }

    /// Sends it this signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The lines whose message begins so.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let begins = |line: &&Value| line["message"].as_str().unwrap_or("").starts_with(message);
        lines.iter().filter(begins).cloned().collect()
    }

    pub(crate) async fn line(&self, message: &str) -> Value {
        for _ in 0..10_000 {
            if let Some(line) = self.lines(message).pop() {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!(
            "no line begins with {message}: {:?}",
            self.lines.lock().unwrap()
        );
    }

    /// Changes its configuration file like this, and asks it to read the file.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let file = self.folder.path().join("gateway.toml");
        let text = change(std::fs::read_to_string(&file).unwrap());
        std::fs::write(&file, text).unwrap();
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::HUP).unwrap();
    }

    /// The lines of `/proc` about this process.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
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

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
