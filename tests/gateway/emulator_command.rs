//! The emulator and the sandbox as commands: host names to listen on, and one's own configuration
//! that works with the emulator as the printed hint describes.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
};

use bytes::Bytes;
use hyper::Request;

use crate::support::{
    ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, SESSIONCODE, bearer, folder::Folder, identity, send,
};

const BINARY: &str = env!("CARGO_BIN_EXE_liveness-gateway");
const VARIABLES: [(&str, &str); 3] = [
    ("QINIU_ACCESS_KEY", ACCESS_KEY),
    ("QINIU_SECRET_KEY", SECRET_KEY),
    ("TOKEN_SECRET", SECRET),
];

/// A running command, killed when it is dropped.
struct RunningCommand {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl RunningCommand {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .env_clear()
            .envs(VARIABLES)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line of standard output that contains `part`.
    fn line(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended without a line with {part}");
            if line.contains(part) {
                return line.trim().to_owned();
            }
        }
    }

    /// Standard error, up to a line that contains `part`.
    fn errors(&mut self, part: &str) -> String {
        let mut errors = BufReader::new(self.child.stderr.as_mut().unwrap());
        let mut text = String::new();
        while !text.contains(part) {
            assert!(errors.read_line(&mut text).unwrap() > 0, "{text}");
        }
        text
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn emulator_and_sandbox_listen_on_a_host_name() {
    let mut emulator = RunningCommand::start(&["emulator", "--listen", "localhost:0"]);
    let url = emulator.line("http://");
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let mut sandbox = RunningCommand::start(&["sandbox", "--listen", "localhost:0"]);
    let gateway = sandbox.line("  gateway ");
    assert!(gateway.contains("http://127.0.0.1:"), "{gateway}");
}

#[test]
fn a_wrong_listen_address_is_named_with_its_flag_and_an_example() {
    for command in ["emulator", "sandbox"] {
        for wrong in ["localhost", "8085", "no-such-host.invalid:8085"] {
            let mut refused = RunningCommand::start(&[command, "--listen", wrong]);
            let errors = refused.errors("for example");
            for part in ["--listen", wrong, "localhost:8080"] {
                assert!(errors.contains(part), "{command}: {errors}");
            }
            assert_eq!(refused.child.wait().unwrap().code(), Some(2));
        }
    }
}

#[tokio::test]
async fn a_gateway_with_the_printed_qiniu_section_works_with_the_emulator() {
    let mut emulator = RunningCommand::start(&["emulator", "--listen", "127.0.0.1:0"]);
    let url = emulator.line("http://");
    let hint = emulator.errors("Stop the emulator");
    let section: String = hint
        .lines()
        .filter(|line| line.contains(" = "))
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    assert!(section.contains(&format!("endpoint = \"{url}\"")), "{hint}");
    let listeners = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let identity = identity::section(ISSUER, "secret = { env = \"TOKEN_SECRET\" }");
    let text = format!("{listeners}[qiniu]\n{section}{identity}");
    let folder = Folder::with(&[("gateway.toml", &text)]);
    let file = folder.path().join("gateway.toml");
    let mut gateway = RunningCommand::start(&["serve", "--config", file.to_str().unwrap()]);
    let record: serde_json::Value = serde_json::from_str(&gateway.line("\"listening\"")).unwrap();
    let address: SocketAddr = record["address"].as_str().unwrap().parse().unwrap();
    let request = Request::post(SESSIONCODE)
        .header("host", address.to_string())
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json");
    let response = send(address, false, request, Bytes::from_static(b"{}")).await;
    assert_eq!(response.json()["error_code"], 0, "{response:?}");
}
