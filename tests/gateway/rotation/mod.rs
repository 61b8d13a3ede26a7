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

use std::{net::SocketAddr, path::Path, time::Duration};

use liveness_gateway::config;

use crate::support::{
    Gateway, ISSUER,
    events::{self, logged},
    folder::Folder,
    routes, until, variables,
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
    events::keep();
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
    config::load_text(text, "test.toml", base, &variables(&[]))
        .unwrap_or_else(|report| panic!("{report}"))
        .settings
}
