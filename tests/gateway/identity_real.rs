//! A provider and tokens made by others (the npm package oidc-provider).
//!
//! It runs where `LIVENESS_TEST_OIDC_PROVIDER` names a folder in which the package is installed, as
//! `.ci/run` does. It is skipped elsewhere.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::support::{
    emulator,
    identity::{gateway, hasty, said, section},
    send,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hyper::Request;
use liveness_gateway::emulator::Scenario;

/// The folder of the package.
fn installed() -> Option<PathBuf> {
    std::env::var_os("LIVENESS_TEST_OIDC_PROVIDER").map(PathBuf::from)
}

/// The running provider, killed when dropped.
struct Real {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    issuer: String,
}

impl Real {
    fn start(folder: &Path) -> Self {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/providers/oidc-provider.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (
            process.stdin.take().unwrap(),
            process.stdout.take().unwrap(),
        );
        let mut real = Self {
            process,
            input,
            output: BufReader::new(output),
            issuer: String::new(),
        };
        real.issuer = real.line();
        real
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the provider has gone");
        line.trim().to_owned()
    }

    fn rotate(&mut self) {
        self.input.write_all(b"rotate\n").unwrap();
        assert_eq!(self.line(), "rotated");
    }

    fn address(&self) -> SocketAddr {
        self.issuer
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Requests a token by the client credentials grant, signed with this algorithm.
    async fn token(&self, algorithm: &str) -> String {
        let basic = BASE64.encode(b"phone:a-secret-of-the-tests");
        let request = Request::post("/token")
            .header("host", self.address().to_string())
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded");
        let form = format!(
            "grant_type=client_credentials&scope=liveness&resource=urn:liveness:{algorithm}"
        );
        let answer = send(self.address(), false, request, form.into()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let header = BASE64URL_NOPAD
            .decode(token.split('.').next().unwrap().as_bytes())
            .unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(
            (&header["alg"], &header["typ"]),
            (&algorithm.into(), &"at+jwt".into())
        );
        token
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn tokens_of_a_real_provider_are_accepted_before_and_after_a_key_rotation() {
    let Some(folder) = installed() else {
        return eprintln!("skipped: LIVENESS_TEST_OIDC_PROVIDER is not set");
    };
    let mut provider = Real::start(&folder);
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let identity = section(&provider.issuer, "");
    let gateway = gateway(qiniu, &identity, hasty()).await;
    gateway.until_ready_is(200).await;
    let mut old = Vec::new();
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let token = provider.token(algorithm).await;
        let answer = gateway.ask(&token).await;
        assert_eq!(answer.status, 200, "{algorithm}: {answer:?}");
        old.push(token);
    }
    provider.rotate();
    for algorithm in ["ES256", "RS256", "PS256", "EdDSA"] {
        let token = provider.token(algorithm).await;
        assert!(!old.contains(&token));
        let answer = gateway.ask(&token).await;
        assert_eq!(
            answer.status, 200,
            "{algorithm} after the rotation: {answer:?}"
        );
    }
    for token in &old {
        assert_eq!(gateway.ask(token).await.status, 200);
    }
    let (signed, _) = old[0].rsplit_once('.').unwrap();
    let (_, signature) = old[1].rsplit_once('.').unwrap();
    let forged = gateway.ask(&format!("{signed}.{signature}")).await;
    assert_eq!(said(&forged), (401, "invalid_token".into()));
    assert_eq!(handle.session_calls(), 12);
}
