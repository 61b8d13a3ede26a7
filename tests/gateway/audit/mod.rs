//! The audit log: each verify that reached Qiniu is in it, and nothing is done to it unseen.

mod command;
mod consent;
mod kept;
mod process;
mod records;
mod unwritable;

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    process::Command,
};

use liveness_gateway::audit::{
    CheckpointKeys,
    verify::{AuditVerifier, VerifiedChain},
};
use serde_json::Value;

use crate::support::{
    Answer, Gateway, UNBOUND, VERIFY, folder::Folder, found, routes, verify_body, video,
};

/// A passing response of Qiniu's.
const PASS: &str = r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1730042187,"result":{"score":0.96,"action_verify":"pass","thresholds":{"frr_1e-4":0.05,"frr_1e-3":0.3,"frr_1e-2":0.9}}}"#;

/// The audit log of a test.
struct Log(Folder);

impl Log {
    fn new() -> Self {
        Self(Folder::with(&[]))
    }

    /// A log that is a FIFO.
    fn fifo() -> Self {
        let log = Self::new();
        let made = Command::new("mkfifo").arg(log.path()).status().unwrap();
        assert!(made.success());
        log
    }

    fn path(&self) -> PathBuf {
        self.file("audit.jsonl")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `[audit]` with these further keys.
    fn section(&self, more: &str) -> String {
        format!("[audit]\npath = {:?}\n{more}\n", self.path())
    }

    /// Sections for a gateway whose retries are calls.
    fn unbound(&self, more: &str) -> String {
        format!("{}{UNBOUND}{}", self.section(more), routes())
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap_or_default()
    }

    fn records(&self) -> Vec<Value> {
        records(&self.text())
    }

    fn events(&self) -> Vec<String> {
        events(&self.records())
    }

    /// Waits until the events of the log are these.
    async fn wait_for(&self, events: &[&str]) {
        let are_so = found(async || (self.events() == events).then_some(()));
        let are_so = are_so.await.is_some();
        assert!(are_so, "{:?} are not {events:?}", self.events());
    }

    /// Checks the whole log.
    fn check(&self) -> Result<Vec<VerifiedChain>, String> {
        check(&[&self.path()], None)
    }
}

fn records(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn events(records: &[Value]) -> Vec<String> {
    let event = |record: &Value| record["event"].as_str().unwrap().to_owned();
    records.iter().map(event).collect()
}

/// Checks files in this order; an error names the line.
fn check(files: &[&Path], keys: Option<CheckpointKeys>) -> Result<Vec<VerifiedChain>, String> {
    let mut verifier = AuditVerifier::default().with_keys(keys);
    for file in files {
        let bytes = fs::read(file).unwrap();
        let read = verifier.read(Cursor::new(bytes));
        read.map_err(|(line, defect)| format!("{line}: {defect}"))?;
    }
    verifier.finish().map_err(|error| error.to_string())
}

async fn verify(gateway: &Gateway) -> Answer {
    gateway
        .post(false, VERIFY, verify_body("S1", &video(0)))
        .await
}

async fn stopped(mut gateway: Gateway) {
    gateway.stop();
    (&mut gateway.ended).await.unwrap();
}
