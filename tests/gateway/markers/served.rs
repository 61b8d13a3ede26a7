//! A gateway in a process of its own: the built program, with its secrets in files.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::image::{self, Region};
use crate::support::{
    ACCESS_KEY, SECRET, SECRET_KEY, VERDICT_KEY, backend, folder::Folder, sealed, send,
};

/// A gateway in a process of its own.
pub(crate) struct Served {
    child: Child,
    folder: Folder,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Served {
    /// Returns when it listens. Its secrets are the files `ak`, `sk`, `jwt`, `seal`, `verdict` and
    /// `webhook`; it runs in their folder.
    pub(crate) fn start(configuration: &str, variables: &[(&str, &str)]) -> Self {
        let files = [
            ("ak", ACCESS_KEY),
            ("sk", SECRET_KEY),
            ("jwt", SECRET),
            ("seal", sealed::KEY),
            ("verdict", VERDICT_KEY),
            ("webhook", backend::SECRET),
            ("gateway.toml", configuration),
        ];
        let folder = Folder::with(&files);
        let mut child = Command::new(env!("CARGO_BIN_EXE_liveness-gateway"))
            .args(["serve", "--config"])
            .arg("gateway.toml")
            .current_dir(folder.path())
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut address = |message: &str| loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        let (public, admin) = (address("listening"), address("admin listening"));
        let log = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self {
            child,
            folder,
            address: public,
            admin,
            log,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// What it has logged since it listens, and what everybody can see of the process.
    pub(crate) fn outputs(&self) -> Region {
        let command = std::fs::read(format!("/proc/{}/cmdline", self.id())).unwrap();
        let log = self.log.lock().unwrap().clone().into_bytes();
        Region::new("the log or the command line", [log, command].concat())
    }

    /// Waits until the metrics have all of these lines.
    pub(crate) async fn metrics(&self, lines: &[&str]) {
        let mut text = String::new();
        for _ in 0..2_000 {
            let request = hyper::Request::get("/metrics").header("host", "admin");
            let answer = send(self.admin, false, request, "".into()).await;
            text = String::from_utf8(answer.body.to_vec()).unwrap();
            if lines.iter().all(|line| text.contains(line)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{lines:?} never came: {text}");
    }

    pub(crate) fn memory(&self) -> Option<Vec<Region>> {
        image::of_process(self.child.id())
    }

    /// A core image; `None` if there is no gdb.
    pub(crate) fn core(&self) -> Option<Vec<Region>> {
        let id = self.child.id();
        let folder = Folder::with(&[]);
        let prefix = folder.path().join("core");
        let mut gcore = Command::new("gcore");
        gcore.arg("-o").arg(&prefix).arg(id.to_string());
        let output = gcore.output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        Some(image::of_file(&folder.path().join(format!("core.{id}"))))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
