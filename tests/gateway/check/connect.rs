//! `check --connect`: each server has a line, which says what was found, or what is wrong and which
//! configuration key to look at. No call is billed, and no secret is printed.

mod clocks;
mod found;
mod issuers;
mod proxies;
#[cfg(feature = "redis")]
mod store;

use std::{
    net::SocketAddr,
    process::Output,
    time::{Duration, SystemTime},
};

use super::{code, run, stderr, stdout};
use crate::support::{
    ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, VERDICT, backend,
    folder::Folder,
    identity::{Does, Provider, section},
    proxy::{LOGIN, PASSWORD},
    sealed,
    secure::Authority,
    variables,
};

/// Runs `check --connect` with a configuration of these parts, and secrets of these names.
async fn connect(
    qiniu: &str,
    more: &str,
    arguments: &[&'static str],
    secrets: &[(&'static str, String)],
) -> Output {
    let text = format!(
        "[qiniu]\n{qiniu}\naccess_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n\
         {}{more}",
        sealed::SETTINGS
    );
    // No system's roots, which take long to read; the built-in ones are used.
    let mut variables = variables(&[("SSL_CERT_FILE", "/dev/null")]);
    let secrets = secrets.iter();
    variables.extend(secrets.map(|(name, value)| ((*name).to_owned(), value.clone())));
    let arguments = arguments.to_vec();
    let running = tokio::task::spawn_blocking(move || {
        let folder = Folder::with(&[("gateway.toml", &text)]);
        let file = folder.path().join("gateway.toml").display().to_string();
        let arguments = [&["check", "--connect", "--config", &file], &arguments[..]].concat();
        let variables = variables.iter();
        let variables: Vec<_> = variables
            .map(|(name, it)| (name.as_str(), it.as_str()))
            .collect();
        run(&arguments, &variables)
    });
    let output = running.await.unwrap();
    for secret in [
        ACCESS_KEY,
        SECRET_KEY,
        SECRET,
        backend::SECRET,
        sealed::KEY,
        PASSWORD,
        LOGIN.trim_start_matches("Basic "),
        "MARKER",
    ] {
        let printed = [stdout(&output), stderr(&output)].concat();
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
    output
}

/// Asserts that there are these lines behind the summary, in this order. Of each the parts between
/// ` | ` are there, the first one at its begin.
fn has_lines(output: &Output, expected: &[String]) {
    let lines = lines(output);
    assert_eq!(lines.len(), expected.len(), "{lines:#?} {}", stderr(output));
    let is_so = |(line, expected): &(&&str, &String)| {
        let (begin, parts) = expected.split_once(" | ").unwrap_or((expected, ""));
        line.starts_with(begin) && parts.split(" | ").all(|part| line.contains(part))
    };
    let all = lines.iter().zip(expected);
    let wrong: Vec<_> = all.filter(|it| !is_so(it)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn lines(output: &Output) -> Vec<&str> {
    let marks = ["ok ", "warning ", "FAILED "];
    let is_one = |line: &&str| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        marks.iter().any(|mark| line.starts_with(mark))
    };
    stdout(output).lines().filter(is_one).collect()
}

/// A server that answers requests with this status line, and whose clock is ahead.
async fn answering(status: &str, ahead: Duration) -> Provider {
    let provider = Provider::start(Vec::new()).await;
    let date = httpdate::fmt_http_date(SystemTime::now() + ahead);
    let head = format!("HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n");
    for path in ["/", "/liveness", "/MARKER"] {
        provider.does(path, Does::Answer(head.clone().into()));
    }
    provider
}

/// An issuer whose keys are not asked for.
fn fixed() -> String {
    section(ISSUER, "secret = { env = \"JWT\" }")
}

/// The line of [`fixed`].
fn fixed_line() -> String {
    format!("ok       issuer    {ISSUER}: keys from the configuration, nothing to ask")
}

fn evidence(url: &str) -> String {
    format!("{VERDICT}[evidence]\nurl = \"{url}\"\nsecret = {{ env = \"WEBHOOK\" }}\n")
}

fn traces(address: SocketAddr) -> String {
    format!("[telemetry]\notlp_endpoint = \"http://{address}\"\n")
}

/// A folder with the certificate of an authority, and the key that names it.
fn trusting(authority: &Authority) -> (Folder, String) {
    let folder = Folder::with(&[("ca.pem", &authority.pem())]);
    let file = folder.path().join("ca.pem");
    let key = format!("ca_file = \"{}\"\n", file.display());
    (folder, key)
}
