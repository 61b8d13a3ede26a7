//! A configuration file that changes while the gateway runs.
//!
//! Each test has its own gateway, which looks at its file every few milliseconds, and waits for
//! what is visible from outside: a response, a metric, a log line.

mod audit;
mod connections;
mod counted;
mod everything;
mod followed;
mod keys;
mod numbers;
mod refused;
mod stops;
mod traffic;

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use liveness_gateway::{
    config::ConfigSource,
    service_manager::Notifier,
    startup::{BoundGateway, ConfigFollower},
    telemetry::log::LogWriter,
};

use crate::support::{
    Gateway, ISSUER,
    events::{self, logged_with},
    folder::Folder,
    found,
    identity::section,
    secure::Authority,
    variables,
};

const FILE: &str = "gateway.toml";

/// A gateway that follows its file.
struct Reloaded {
    gateway: Gateway,
    folder: Folder,
    text: String,
    /// How many reloads have been seen to succeed, and to be refused.
    seen: Mutex<(u64, u64)>,
}

/// A configuration in front of `upstream`, with these further sections. Each key that a test
/// changes is written. The system's authorities are not read, which takes most of a reload's time,
/// and no time limit passes on a busy machine.
fn configuration(upstream: SocketAddr, more: &str) -> String {
    let identity = section(ISSUER, "secret = { env = \"JWT\" }");
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 300\n\
         head_timeout = \"10min\"\nidle_timeout = \"10min\"\nmin_body_rate = \"1B\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [qiniu]\nendpoint = \"http://{upstream}\"\nmax_connections = 50\n\
         ca_file = \"ca.pem\"\naccess_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n[telemetry]\nca_file = \"ca.pem\"\n{identity}{more}"
    )
}

impl Reloaded {
    async fn start(text: String) -> Self {
        let folder = Folder::with(&[(FILE, &text)]);
        Self::start_in(folder, text, &[]).await
    }

    /// The same in a folder that has the file, with these variables beside the usual ones.
    async fn start_in(folder: Folder, text: String, more: &[(&str, &str)]) -> Self {
        // From here on, events are kept.
        events::keep();
        folder.write("ca.pem", &Authority::new().pem());
        let source = ConfigSource::at(folder.path().join(FILE)).with_variables(variables(more));
        let loaded = source.load().unwrap_or_else(|report| panic!("{report}"));
        let mut settings = loaded.settings;
        settings.reloadable.poll_interval = Duration::from_millis(2);
        let (lines, log) = LogWriter::capture();
        let running = BoundGateway::start(settings, lines).await.unwrap();
        let running = running.following(ConfigFollower {
            source,
            values: loaded.values,
            version: loaded.version,
            log: None,
            notifier: Notifier::default(),
        });
        Self {
            gateway: Gateway::serve(running, log),
            folder,
            text,
            seen: Mutex::default(),
        }
    }

    /// Replaces a part of the file, and waits until the new one is in use.
    async fn change(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from} is not in {}", self.text);
        self.write(self.text.replace(from, to)).await;
    }

    /// Replaces the file at once, for a busy machine takes longer to write it than two looks at it
    /// are apart here, and waits until it is in use.
    async fn write(&mut self, text: String) {
        let before = *self.seen.lock().unwrap();
        self.folder.rename_over(FILE, &text);
        let after = self.next_outcomes(before).await;
        let expected = (before.0 + 1, before.1);
        assert_eq!(after, expected, "{text}: {:?}", self.events());
        self.text = text;
    }

    /// Writes a file that is refused. Returns its errors as they are logged.
    async fn refuse(&self, text: &str) -> Vec<String> {
        let known = self.events().len();
        let before = *self.seen.lock().unwrap();
        self.folder.rename_over(FILE, text);
        let after = self.next_outcomes(before).await;
        assert_eq!(after, (before.0, before.1 + 1), "{text}");
        self.events().split_off(known)
    }

    /// What was logged about this file.
    fn events(&self) -> Vec<String> {
        logged_with(&self.folder.name())
    }

    /// How many reloads have succeeded, and how many were refused.
    async fn outcomes(&self) -> (u64, u64) {
        let metrics = self.gateway.metrics().await;
        let count = |outcome| {
            let labels = format!("what=\"configuration\",outcome=\"{outcome}\"");
            value(&metrics, &format!("reloads_total{{{labels}}}"))
                .parse()
                .unwrap()
        };
        (count("success"), count("refused"))
    }

    async fn next_outcomes(&self, before: (u64, u64)) -> (u64, u64) {
        let reloaded = async || Some(self.outcomes().await).filter(|now| *now != before);
        let now = found(reloaded).await;
        let now = now.unwrap_or_else(|| panic!("never reloaded: {:?}", self.events()));
        *self.seen.lock().unwrap() = now;
        now
    }
}

/// The value of a sample in the text of metrics.
fn value<'m>(metrics: &'m str, sample: &str) -> &'m str {
    let name = format!("liveness_gateway_{sample} ");
    let found = metrics.lines().find_map(|line| line.strip_prefix(&name));
    found.unwrap_or_else(|| panic!("no {sample} in {metrics}"))
}
