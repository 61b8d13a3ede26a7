//! The commands of the binary: exit codes, what they print, and what they never print.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const BINARY: &str = env!("CARGO_BIN_EXE_liveness-gateway");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/gateway.toml");
const ACCESS_KEY: &str = "vJw5ExAmPLeAccessKey0000000000000000AK01";
const SECRET_KEY: &str = "Zq7ExAmPLeSecretKey11111111111111111SK02";

/// Runs the binary with only these environment variables.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn with_keys(arguments: &[&str]) -> Output {
    run(
        arguments,
        &[
            ("QINIU_ACCESS_KEY", ACCESS_KEY),
            ("QINIU_SECRET_KEY", SECRET_KEY),
        ],
    )
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

/// A temporary file of one test, removed when dropped.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> Self {
        let name = format!("liveness-gateway-cli-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn check_resolves_relative_files_from_the_configuration_s_folder() {
    let output = Command::new(BINARY)
        .args(["check", "--config", "gateway.toml"])
        .current_dir(Path::new(EXAMPLE).parent().unwrap())
        .env_clear()
        .envs([
            ("QINIU_ACCESS_KEY", ACCESS_KEY),
            ("QINIU_SECRET_KEY", SECRET_KEY),
        ])
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn check_print_shows_everything_except_secrets() {
    let output = with_keys(&["check", "--print", "--config", EXAMPLE]);
    assert_eq!(code(&output), 0);
    let shown = stdout(&output);
    assert!(
        shown.contains("access_key = { env = \"QINIU_ACCESS_KEY\" } # ***\n"),
        "{shown}"
    );
    assert!(
        shown.contains("response.max_string = \"1KiB\"\n"),
        "{shown}"
    );
    assert!(
        !shown.contains(ACCESS_KEY) && !shown.contains(SECRET_KEY),
        "{shown}"
    );
}

#[test]
fn check_reports_every_mistake_at_once() {
    let file = File::new(
        "bad",
        "[server]\nlisen = 1\n[qiniu]\nsecret_key = \"MARKER\"\n",
    );
    let output = with_keys(&["check", "--config", file.path()]);
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    let shown = stderr(&output);
    for part in [
        &format!("--> {}:2:1\n", file.path()),
        "did you mean `listen`?",
        "`access_key` is missing",
        "`secret_key` must say where the secret is",
        "no [[identity]]",
        ": 4 errors; nothing was started",
    ] {
        assert!(shown.contains(part), "no {part}\n{shown}");
    }
    assert!(!shown.contains("MARKER"), "{shown}");
}

#[test]
fn check_reports_a_missing_secret_and_a_wrong_override() {
    let output = run(
        &["check", "--config", EXAMPLE],
        &[
            ("QINIU_ACCESS_KEY", ACCESS_KEY),
            ("LIVENESS_GATEWAY__QINIU__SIGN_DATE", "maybe"),
        ],
    );
    assert_eq!(code(&output), 1);
    let shown = stderr(&output);
    assert!(shown.contains("`QINIU_SECRET_KEY` is not set"), "{shown}");
    assert!(
        shown.contains("environment variable LIVENESS_GATEWAY__QINIU__SIGN_DATE"),
        "{shown}"
    );
}

#[test]
fn a_missing_configuration_file_is_reported() {
    for command in ["check", "serve"] {
        let output = with_keys(&[command, "--config", "/nowhere/gateway.toml"]);
        assert_eq!((code(&output), stdout(&output)), (1, ""), "{command}");
        let shown = stderr(&output);
        assert!(
            shown.contains("the configuration can't be read: No such file"),
            "{shown}"
        );
        assert!(
            shown.contains("/nowhere/gateway.toml") && shown.contains("--config"),
            "{shown}"
        );
    }
    let output = run(&["check"], &[]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--config"), "{}", stderr(&output));
}

#[test]
fn serve_does_not_start_with_an_invalid_configuration() {
    let file = File::new("serve", "[tracing]\n");
    let output = with_keys(&["serve", "--config", file.path()]);
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    assert!(
        stderr(&output).contains("unknown key `tracing`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_schema_is_valid_json() {
    let output = run(&["schema"], &[]);
    assert_eq!(code(&output), 0);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let listen = schema.pointer("/properties/server/properties/listen/default");
    assert_eq!(listen, Some(&"127.0.0.1:8080".into()));
}

#[test]
fn sign_prints_what_qiniu_expects() {
    let body = File::new("body", r#"{"min_code_length":1,"max_code_length":1}"#);
    let arguments = [
        "sign",
        "--method",
        "POST",
        "--url",
        "https://face-actlive.qiniuapi.com/v2/actionliveness/sessioncode",
        "--header",
        "Content-Type: application/json",
        "--header",
        "X-Qiniu-Date: 20261123T090010Z",
        "--body",
        body.path(),
    ];
    let output = with_keys(&arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let wanted = format!("Qiniu {ACCESS_KEY}:jY8lHCSfbtM0EtrjU5dWMzvc-_k=\n");
    assert_eq!(stdout(&output), wanted);
    let without = run(&arguments, &[("QINIU_ACCESS_KEY", ACCESS_KEY)]);
    assert_eq!((code(&without), stdout(&without)), (1, ""));
    assert!(
        stderr(&without).contains("QINIU_SECRET_KEY is not set"),
        "{}",
        stderr(&without)
    );
}

#[test]
fn token_prints_a_token_and_never_the_secret() {
    let secret = "MARKER-0123456789-0123456789-0123456789";
    let arguments = [
        "token",
        "--secret-env",
        "S",
        "--issuer",
        "i",
        "--audience",
        "a",
        "--subject",
        "u",
    ];
    let output = run(&arguments, &[("S", secret)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let token = stdout(&output).trim_end();
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let claims = data_encoding::BASE64URL_NOPAD
        .decode(parts.get(1).unwrap().as_bytes())
        .unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let number = |name: &str| {
        claims
            .get(name)
            .and_then(serde_json::Value::as_i64)
            .unwrap()
    };
    assert_eq!(claims.get("sub"), Some(&"u".into()));
    assert_eq!(number("exp") - number("iat"), 600);
    for (variables, part) in [(vec![], "S is not set"), (vec![("S", "MARKER")], "32")] {
        let output = run(&arguments, &variables);
        assert_eq!((code(&output), stdout(&output)), (1, ""));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
        assert!(!stderr(&output).contains("MARKER"), "{}", stderr(&output));
    }
}

#[test]
fn keygen_prints_new_keys() {
    let seal = || stdout(&run(&["keygen", "seal"], &[])).trim_end().to_owned();
    let key = seal();
    assert_eq!(
        data_encoding::BASE64.decode(key.as_bytes()).unwrap().len(),
        32
    );
    assert_ne!(key, seal());
    let verdict = run(&["keygen", "verdict"], &[]);
    assert_eq!(code(&verdict), 0);
    assert!(stdout(&verdict).starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(stderr(&verdict).contains("-----BEGIN PUBLIC KEY-----"));
    assert!(!stderr(&verdict).contains("PRIVATE KEY-----"));
    // The same as without the option, and the other kind.
    for (algorithm, bytes) in [("EdDSA", 48), ("ES256", 138)] {
        let verdict = run(&["keygen", "verdict", "--algorithm", algorithm], &[]);
        let lines = stdout(&verdict).lines();
        let text: String = lines.filter(|line| !line.starts_with('-')).collect();
        let key = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
        assert_eq!((code(&verdict), key.len()), (0, bytes), "{algorithm}");
        assert!(stderr(&verdict).contains("-----BEGIN PUBLIC KEY-----"));
    }
    for wrong in [
        &["keygen"][..],
        &["keygen", "verdict", "--algorithm", "RS256"],
        &["keygen", "seal", "--algorithm", "ES256"],
    ] {
        let output = run(wrong, &[]);
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{wrong:?}");
    }
}

#[test]
fn completions_and_help_are_printed() {
    let bash = run(&["completions", "bash"], &[]);
    assert_eq!(code(&bash), 0);
    assert!(stdout(&bash).contains("complete -F"), "{}", stdout(&bash));
    let help = run(&["--help"], &[]);
    assert_eq!(code(&help), 0);
    for command in [
        "serve",
        "check",
        "sandbox",
        "emulator",
        "sign",
        "token",
        "keygen",
        "schema",
        "healthcheck",
    ] {
        assert!(stdout(&help).contains(command), "{command}");
    }
    assert_eq!(code(&run(&[], &[])), 2);
}
