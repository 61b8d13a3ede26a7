//! The emulator and the sandbox as commands: host names to listen on, and one's own configuration
//! that works with the emulator as the printed hint describes.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use bytes::Bytes;
use hyper::Request;

use crate::support::{
    ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, SESSIONCODE, bearer,
    folder::Folder,
    identity,
    program::{PROGRAM, Program},
    send,
};

const VARIABLES: [(&str, &str); 3] = [
    ("QINIU_ACCESS_KEY", ACCESS_KEY),
    ("QINIU_SECRET_KEY", SECRET_KEY),
    ("TOKEN_SECRET", SECRET),
];

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().envs(VARIABLES);
    command
}

/// Starts a command. Returns it and the first line that contains `part`.
async fn started(arguments: &[&str], part: &str) -> (Program, String) {
    let program = Program::start(command(arguments).stderr(Stdio::piped()));
    let line = program.output.line(part).await.trim().to_owned();
    (program, line)
}

#[tokio::test]
async fn emulator_and_sandbox_listen_on_a_host_name() {
    let (_emulator, url) = started(&["emulator", "--listen", "localhost:0"], "http://").await;
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let (_sandbox, gateway) = started(&["sandbox", "--listen", "localhost:0"], "  gateway ").await;
    assert!(gateway.contains("http://127.0.0.1:"), "{gateway}");
}

#[test]
fn a_wrong_listen_address_is_named_with_its_flag_and_an_example() {
    for name in ["emulator", "sandbox"] {
        for wrong in ["localhost", "8085", "no-such-host.invalid:8085"] {
            let refused = command(&[name, "--listen", wrong]).output().unwrap();
            let errors = String::from_utf8(refused.stderr).unwrap();
            for part in ["--listen", wrong, "localhost:8080", "for example"] {
                assert!(errors.contains(part), "{name}: {errors}");
            }
            assert_eq!(refused.status.code(), Some(2));
        }
    }
}

#[tokio::test]
async fn a_gateway_with_the_printed_qiniu_section_works_with_the_emulator() {
    let (mut emulator, url) = started(&["emulator", "--listen", "127.0.0.1:0"], "http://").await;
    let mut errors = BufReader::new(emulator.child.stderr.take().unwrap());
    let mut hint = String::new();
    while !hint.contains("Stop the emulator") {
        assert!(errors.read_line(&mut hint).unwrap() > 0, "{hint}");
    }
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
    let gateway = Program::start(&mut command(&["serve", "--config", file.to_str().unwrap()]));
    let address = gateway.output.address("listening").await;
    let request = Request::post(SESSIONCODE)
        .header("host", address.to_string())
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json");
    let response = send(address, false, request, Bytes::from_static(b"{}")).await;
    assert_eq!(response.json()["error_code"], 0, "{response:?}");
}
