//! A gateway in a process of its own: the built program, with its secrets in files.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use super::image::{self, Region};
use crate::support::{
    ACCESS_KEY, SECRET, SECRET_KEY, VERDICT_KEY, backend,
    folder::Folder,
    program::{PROGRAM, Program},
    sealed, send, until,
};

/// A gateway in a process of its own.
pub(crate) struct Served {
    program: Program,
    folder: Folder,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Served {
    /// Returns when it listens. Its secrets are the files `ak`, `sk`, `jwt`, `seal`, `verdict` and
    /// `webhook`; it runs in their folder.
    pub(crate) async fn start(configuration: &str, variables: &[(&str, &str)]) -> Self {
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
        let mut command = Command::new(PROGRAM);
        command
            .args(["serve", "--config"])
            .arg("gateway.toml")
            .current_dir(folder.path())
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        let program = Program::start(&mut command);
        Self {
            address: program.output.address("listening").await,
            admin: program.output.address("admin listening").await,
            program,
            folder,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.program.ended().await
    }

    /// What it has logged, and what everybody can see of the process.
    pub(crate) fn outputs(&self) -> Region {
        let command = std::fs::read(format!("/proc/{}/cmdline", self.id())).unwrap();
        let log = self.program.output.lines().concat().into_bytes();
        Region::new("the log or the command line", [log, command].concat())
    }

    /// Waits until the metrics have all of these lines.
    pub(crate) async fn metrics(&self, lines: &[&str]) {
        until(&lines.join(", "), async || {
            let request = hyper::Request::get("/metrics").header("host", "admin");
            let answer = send(self.admin, false, request, "".into()).await;
            let text = str::from_utf8(&answer.body).unwrap();
            lines.iter().all(|line| text.contains(line))
        })
        .await;
    }

    pub(crate) fn memory(&self) -> Option<Vec<Region>> {
        image::of_process(self.program.id())
    }

    /// A core image; `None` if there is no gdb.
    pub(crate) fn core(&self) -> Option<Vec<Region>> {
        let id = self.program.id();
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
