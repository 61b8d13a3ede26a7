//! `check`: what it says of a good configuration, and when it fails.

mod connect;

use std::process::{Command, Output};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/gateway.toml");

/// Runs the program with Qiniu's keys and these variables alone.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let keys = [("QINIU_ACCESS_KEY", "ak"), ("QINIU_SECRET_KEY", "sk")];
    Command::new(env!("CARGO_BIN_EXE_liveness-gateway"))
        .args(arguments)
        .env_clear()
        .envs(keys)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn check_accepts_the_example() {
    let output = run(&["check", "--config", EXAMPLE], &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let summary = stdout(&output);
    for line in [
        &format!("{EXAMPLE}: the configuration is valid\n"),
        "  listener     127.0.0.1:8080, no TLS\n",
        "  Qiniu        https://face-actlive.qiniuapi.com\n",
        "  route        /v2/actionliveness/verify, verify\n",
        "  warnings     none\n",
    ] {
        assert!(summary.contains(line), "{line}{summary}");
    }
    assert!(output.stderr.is_empty());
    let by_variable = run(&["check"], &[("LIVENESS_GATEWAY_CONFIG", EXAMPLE)]);
    assert_eq!(code(&by_variable), 0, "{}", stderr(&by_variable));
}

#[test]
fn check_fails_on_warnings_only_if_it_is_strict() {
    let public = ("LIVENESS_GATEWAY__SERVER__LISTEN", "0.0.0.0:8080");
    for (arguments, variable, expected) in [
        (&["check", "--config", EXAMPLE][..], public, 0),
        (&["check", "--strict", "--config", EXAMPLE], public, 1),
        (
            &["check", "--strict", "--print", "--config", EXAMPLE],
            public,
            1,
        ),
        (
            &["check", "--strict", "--config", EXAMPLE],
            ("OTHER", "x"),
            0,
        ),
    ] {
        let output = run(arguments, &[variable]);
        assert_eq!(code(&output), expected, "{arguments:?} {}", stderr(&output));
        let warned = stderr(&output).starts_with("warning: 0.0.0.0:8080 is reachable");
        assert_eq!(warned, variable == public, "{}", stderr(&output));
    }
}
