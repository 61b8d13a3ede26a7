//! Files that change while the gateway runs: the new content is in use soon, no request fails
//! because of it, and a wrong new content leaves the old one in use.
//!
//! Each test has its own gateway, which polls its files every few milliseconds, and waits for what
//! is visible from outside: a response, a key set, a log line.

mod authorities;
mod bad_files;
mod certificates;
mod identities;
mod odd_secrets;
mod qiniu;
mod sessions;
mod verdicts;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use liveness_gateway::config;

use crate::support::{
    ACCESS_KEY, Gateway, ISSUER, SECRET, SECRET_KEY, VERDICT_KEY, backend, folder::Folder, routes,
};

/// The poll period of these gateways.
const PERIOD: Duration = Duration::from_millis(5);
/// Qiniu's credentials, from the environment.
const KEYS: &str = "access_key = { env = \"AK\" }\nsecret_key = { env = \"SK\" }\n";

/// `[[identity]]` for the tokens of [`crate::support::token`].
fn identity() -> String {
    format!(
        "[[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\nsecret = {{ env = \"JWT\" }}\n"
    )
}

/// A gateway with these sections added to a minimal configuration. Qiniu's credentials come from
/// the environment unless `keys` says otherwise.
async fn gateway(upstream: SocketAddr, folder: &Folder, keys: &str, more: &str) -> Gateway {
    gateway_that_looks(PERIOD, upstream, folder, keys, more).await
}

async fn gateway_that_looks(
    period: Duration,
    upstream: SocketAddr,
    folder: &Folder,
    keys: &str,
    more: &str,
) -> Gateway {
    let mut settings = settings(&format!("http://{upstream}"), folder, keys, more);
    settings.reloadable.poll_interval = period;
    Gateway::run(settings).await
}

/// The settings of such a gateway, in front of this endpoint.
fn settings(endpoint: &str, folder: &Folder, keys: &str, more: &str) -> config::Settings {
    crate::support::identity::logged_with("");
    let keys = match keys {
        "" => KEYS,
        keys => keys,
    };
    // A section of `more` may be one of the first, so these are dotted keys.
    let text = format!(
        "server.listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n\
         [qiniu]\nendpoint = \"{endpoint}\"\n{keys}\n{more}\n{}",
        routes()
    );
    let mut settings = load(&text, folder.path());
    settings.reloadable.poll_interval = PERIOD;
    settings
}

fn load(text: &str, base: &Path) -> config::Settings {
    let variables = [
        ("AK", ACCESS_KEY),
        ("SK", SECRET_KEY),
        ("JWT", SECRET),
        ("VERDICT", VERDICT_KEY),
        ("WEBHOOK", backend::SECRET),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    config::load_text(text, "test.toml", base, &BTreeMap::from(variables))
        .unwrap_or_else(|report| panic!("{report}"))
        .settings
}

/// Polls until the condition holds. Panics after half a minute.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(std::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for a log line that contains all of these parts. Returns all such lines.
async fn logged(parts: &[&str]) -> Vec<String> {
    let lines = || {
        let mut lines = crate::support::identity::logged_with("");
        lines.retain(|line| parts.iter().all(|part| line.contains(part)));
        lines
    };
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while lines().is_empty() {
        if std::time::Instant::now() > end {
            let one = |part| crate::support::identity::logged_with(part);
            let some: Vec<_> = parts.iter().flat_map(|part| one(part)).collect();
            panic!("no line has all of {parts:?}; these have some: {some:#?}");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    lines()
}
