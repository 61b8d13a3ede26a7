//! The command that checks audit files, as its user sees it.

use std::process::Command;

use bytes::Bytes;

use super::{Log, PASS, stopped, verify};
use crate::support::{
    Gateway, UNBOUND, VERDICT,
    folder::Folder,
    routes,
    upstream::{self, Does, answer},
};

/// The log of a gateway that has stopped, and the public keys of its verdicts.
async fn written() -> (String, String) {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
    let log = Log::new();
    let sections = format!("{}{VERDICT}{UNBOUND}{}", log.section(""), routes());
    let gateway = Gateway::start(qiniu.address, "", &sections).await;
    for _ in 0..3 {
        assert_eq!(verify(&gateway).await.status, 200);
    }
    let keys = gateway.request(false, "GET", "/.well-known/jwks.json");
    let keys = gateway.send(false, keys, Bytes::new()).await;
    stopped(gateway).await;
    (log.text(), String::from_utf8(keys.body.to_vec()).unwrap())
}

/// Runs `audit verify`. Returns its exit code and what it wrote.
fn audit_verify(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_liveness-gateway"))
        .args(["audit", "verify"])
        .args(arguments)
        .output()
        .unwrap();
    let (out, error) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    (output.status.code().unwrap(), out, error)
}

#[tokio::test]
async fn audit_verify_names_the_line_and_says_by_its_exit_code_whether_all_is_whole() {
    let (log, keys) = written().await;
    let lines: Vec<_> = log.lines().map(|line| format!("{line}\n")).collect();
    let (first, second) = (lines[..2].concat(), lines[2..].concat());
    let changed = log.replacen("user-1", "user-2", 1);
    let files = [
        ("whole", log.as_str()),
        ("first", &first),
        ("second", &second),
        ("changed", &changed),
        ("empty", ""),
        ("keys", &keys),
    ];
    let folder = Folder::with(&files);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (code, summary, error) = audit_verify(&[&path("whole")]);
    assert_eq!((code, error.as_str()), (0, ""), "{summary}");
    assert!(
        summary.contains("ends with the stop of its gateway"),
        "{summary}"
    );
    let last = summary.split("hash of the last one: ").nth(1).unwrap();
    let head = format!("{}:{}", lines.len() - 1, &last[..64]);
    let (code, summary, _) =
        audit_verify(&["--keys", &path("keys"), "--head", &head, &path("whole")]);
    assert!(
        code == 0 && summary.contains("their signatures are right"),
        "{summary}"
    );
    assert_eq!(audit_verify(&[&path("first"), &path("second")]).0, 0);
    assert_eq!(audit_verify(&["--continued", &path("second")]).0, 0);
    for (arguments, said) in [
        (
            vec![path("second")],
            "second:1: the chain begins with record 2",
        ),
        (vec![path("second"), path("first")], "second:1: "),
        (vec![path("changed")], "changed:2: the record was changed"),
        (
            vec!["--head".into(), head.clone(), path("first")],
            "first: record ",
        ),
        (vec![path("empty")], "empty: there is no record\n"),
        (vec![path("missing")], "missing: it can't be read"),
        (
            vec!["--keys".into(), path("first"), path("whole")],
            "first: it can't be used as keys",
        ),
    ] {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let (code, out, error) = audit_verify(&arguments);
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        assert!(error.contains(said), "{error} lacks {said}");
    }
    assert_eq!(audit_verify(&[]).0, 2, "a wrong command line");
    assert_eq!(audit_verify(&["--head", "x", &path("whole")]).0, 2);
}
