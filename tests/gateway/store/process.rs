//! A replica in a process of its own: the built program, which can be stopped and killed.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value;

use crate::support::{ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, identity, sealed};

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Returns when it listens and has reached the store.
    pub(crate) fn start(upstream: SocketAddr, redis: &str, identity: &str, routes: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder = format!("liveness-gateway-replica-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("gateway.toml");
        std::fs::write(&file, configuration(upstream, identity, routes)).unwrap();
        let child = Command::new(Path::new(env!("CARGO_BIN_EXE_liveness-gateway")))
            .args(["serve", "--config"])
            .arg(&file)
            .env_clear()
            .envs([
                ("AK", ACCESS_KEY),
                ("SK", SECRET_KEY),
                ("JWT", SECRET),
                ("SEAL", sealed::KEY),
                ("REDIS", redis),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        // From now on the process is killed when this is dropped.
        let mut process = Self {
            child,
            folder,
            address: nowhere,
            admin: nowhere,
            errors: Arc::default(),
        };
        process.await_start();
        process
    }

    fn await_start(&mut self) {
        let mut output = BufReader::new(self.child.stdout.take().unwrap());
        let mut shares = false;
        while !shares || self.admin.port() == 0 {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended");
            let line: Value = serde_json::from_str(&line).unwrap();
            let address = || line["address"].as_str().unwrap().parse().unwrap();
            match line["message"].as_str().unwrap_or_default() {
                "listening" => self.address = address(),
                "admin listening" => self.admin = address(),
                message => shares |= message.contains("the store is available"),
            }
        }
        let errors = Arc::clone(&self.errors);
        std::thread::spawn(move || keep_errors(output, &errors));
    }

    /// Stops it with SIGTERM and returns how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap()
    }

    /// The lines that it logged as errors.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Reads the output to its end, so that the process is never blocked by a full pipe.
fn keep_errors(output: BufReader<ChildStdout>, errors: &Mutex<Vec<String>>) {
    for line in output.lines().map_while(Result::ok) {
        if line.contains("\"level\":\"error\"") {
            errors.lock().unwrap().push(line);
        }
    }
}

/// The issuer of [`crate::support::bearer`].
pub(crate) fn shared_secret() -> String {
    identity::section(ISSUER, "secret = { env = \"JWT\" }")
}

fn configuration(upstream: SocketAddr, identity: &str, routes: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [qiniu]\nendpoint = \"http://{upstream}\"\n\
         access_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n{identity}{}\
         [store]\nredis = {{ env = \"REDIS\" }}\ntimeout = \"2s\"\n{routes}",
        sealed::SETTINGS,
    )
}
