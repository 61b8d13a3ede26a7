//! A secret that ends in white space is warned of where it is read: by `check`, at start and at a
//! change. It is used as it is, and no output repeats it.

use std::process::Command;

use liveness_gateway::emulator::Scenario;

use super::{Folder, gateway, identities::secret_token, logged, until};
use crate::support::{
    ACCESS_KEY, ISSUER, SECRET_KEY, UNBOUND, emulator,
    program::{PROGRAM, Program},
};

const OLD: &str = "an old secret of the tests, MARKER-1, long enough";
const NEW: &str = "a new secret of the tests, MARKER-2, long enough ";

fn identity() -> String {
    let keys = "secret = { file = \"./jwt\" }";
    format!("[[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\n{keys}\n{UNBOUND}")
}

#[tokio::test]
async fn a_new_secret_that_ends_in_white_space_is_used_and_warned_of() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let folder = Folder::with(&[("jwt", OLD)]);
    let gateway = gateway(qiniu, &folder, "", &identity()).await;
    assert_eq!(gateway.ask(&secret_token(OLD)).await.status, 200);
    folder.rename_over("jwt", &format!("{NEW}\n"));
    let new = secret_token(NEW);
    until("the new secret", async || {
        gateway.ask(&new).await.status == 200
    })
    .await;
    let lines = logged(&[&folder.name(), "/jwt` ends in white space"]).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("\"warn\"") && !lines[0].contains("MARKER"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn check_and_serve_warn_of_a_secret_that_ends_in_white_space() {
    let text = format!(
        "server.listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n[qiniu]\n\
         access_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n{}",
        identity()
    );
    let folder = Folder::with(&[("jwt", NEW), ("gateway.toml", &text)]);
    let command = |name: &str| {
        let mut command = Command::new(PROGRAM);
        let file = folder.path().join("gateway.toml");
        command.args([name, "--config"]).arg(file).env_clear();
        command.envs([("AK", ACCESS_KEY), ("SK", SECRET_KEY)]);
        command
    };
    let check = command("check").output().unwrap();
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.success(), "{said}");
    assert!(
        said.starts_with("warning: `identity[0].secret`: the secret in file"),
        "{said}"
    );
    assert!(
        said.contains("ends in white space") && !said.contains("MARKER"),
        "{said}"
    );
    let serve = Program::start(&mut command("serve"));
    // The admin listener is announced last.
    serve.output.line("admin listening").await;
    let before = serve.output.lines().join("\n");
    assert!(before.contains("ends in white space"), "{before}");
    assert!(!before.contains("MARKER"), "{before}");
}
