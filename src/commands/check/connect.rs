//! Asks all servers of a configuration at the same time, and tells what came of it in an order that
//! is always the same.
//!
//! Relies on [`super::servers`] for each server. Whatever hangs, it ends soon after its limit.

use std::{io, time::Duration};

use tokio::{
    runtime::Builder,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    finding::{Finding, FindingState, ServerLine, ServerName},
    servers,
};
use crate::{
    auth::{
        KeySource,
        remote::{KeySetLocation, RemoteKeySettings},
    },
    config::Settings,
    outbound::origin::Origin,
};

/// How long a server is asked.
const LIMIT: Duration = Duration::from_secs(10);

/// How many servers were asked, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AskedServers {
    pub(super) all: usize,
    /// Those that can't be used.
    pub(super) failed: usize,
    /// Those about which something is odd.
    pub(super) odd: usize,
}

/// Why `--connect` fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the runtime can't be set up")]
    Runtime(#[source] io::Error),
    #[error("{} of {} failed, as the lines above say", .0.failed, .0.all)]
    Failed(AskedServers),
}

/// The servers that are being asked, in the order of their lines.
struct Questions {
    limit: Duration,
    asked: Vec<Question>,
}

/// A server that is being asked.
struct Question {
    name: ServerName,
    /// Whether requests depend on it.
    is_needed: bool,
    answer: JoinHandle<Finding>,
}

/// Asks all servers, and passes a line for each to `tell`.
///
/// # Errors
/// A server can't be used, or there is no runtime.
pub(super) fn ask_all(
    settings: Settings,
    tell: impl FnMut(&ServerLine),
) -> Result<AskedServers, ConnectError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ConnectError::Runtime)?;
    let asked = runtime.block_on(ask_within(LIMIT, settings, tell));
    // Not waiting for a thread that may still be resolving a name.
    runtime.shutdown_background();
    match asked.failed {
        0 => Ok(asked),
        _ => Err(ConnectError::Failed(asked)),
    }
}

async fn ask_within(
    limit: Duration,
    settings: Settings,
    mut tell: impl FnMut(&ServerLine),
) -> AskedServers {
    // Timeouts of the parts come first: they say more.
    let end = Instant::now() + limit + limit / 10;
    let mut count = AskedServers::default();
    for question in Questions::of(settings, limit).asked {
        let finding = match timeout_at(end, question.answer).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(_)) => Finding::failed("asking it panicked; report this bug"),
            Err(_) => Finding::failed(format!("no answer within {limit:?}")),
        };
        let finding = match question.is_needed {
            true => finding,
            false => finding.only_odd(),
        };
        let name = question.name;
        count.all = count.all.saturating_add(1);
        match finding.state {
            FindingState::Good => {}
            FindingState::Odd => count.odd = count.odd.saturating_add(1),
            FindingState::Failed => count.failed = count.failed.saturating_add(1),
        }
        tell(&ServerLine { name, finding });
    }
    count
}

impl Questions {
    /// Begins to ask.
    fn of(settings: Settings, limit: Duration) -> Self {
        let mut questions = Self {
            limit,
            asked: Vec::new(),
        };
        questions.ask_proxy(&settings);
        let qiniu = settings.qiniu;
        let name = ServerName::of_origin("Qiniu", &qiniu.endpoint);
        questions.ask(name, servers::qiniu(qiniu, limit));
        for (number, identity) in settings.identities.into_iter().enumerate() {
            questions.ask_issuer(number, identity.issuer, identity.keys);
        }
        if let Some(store) = settings.store {
            let name = ServerName::new("store", store.address.shown());
            questions.ask(name, servers::store(store, limit));
        }
        if let Some(evidence) = settings.evidence {
            let name = ServerName::of_origin("evidence", &evidence.url.origin);
            questions.ask(name, servers::evidence(evidence, limit));
        }
        if let Some(traces) = settings.traces {
            let name = ServerName::of_origin("traces", &traces.url.origin);
            questions.ask(name, servers::traces(traces, limit));
            // The gateway works without it.
            if let Some(traces) = questions.asked.last_mut() {
                traces.is_needed = false;
            }
        }
        questions
    }

    /// Asks the proxy for a tunnel to the first server that is reached through it.
    fn ask_proxy(&mut self, settings: &Settings) {
        let dialer = &settings.qiniu.dialer;
        let Some(proxy) = dialer.proxy() else {
            return;
        };
        let mut servers = http_servers(settings);
        let target = servers.find(|server| dialer.is_proxied(server)).cloned();
        let name = ServerName::of_origin("proxy", &proxy);
        self.ask(name, servers::proxy(dialer.clone(), target, self.limit));
    }

    fn ask_issuer(&mut self, number: usize, issuer: String, keys: KeySource) {
        let name = ServerName::new("issuer", issuer.clone());
        match keys {
            KeySource::Fixed(_) => self.ask(name, async { servers::fixed_keys() }),
            KeySource::Remote(keys) => self.ask(name, servers::issuer(number, issuer, *keys)),
        }
    }

    fn ask(&mut self, name: ServerName, asking: impl Future<Output = Finding> + Send + 'static) {
        self.asked.push(Question {
            name,
            is_needed: true,
            answer: tokio::spawn(asking),
        });
    }
}

/// The servers that the proxy may be for.
fn http_servers(settings: &Settings) -> impl Iterator<Item = &Origin> {
    let issuers = settings.identities.iter();
    let issuers = issuers.filter_map(|identity| match &identity.keys {
        KeySource::Fixed(_) => None,
        KeySource::Remote(keys) => Some(key_server(keys)),
    });
    let evidence = settings.evidence.iter().map(|it| &it.url.origin);
    let traces = settings.traces.iter().map(|it| &it.url.origin);
    let servers = std::iter::once(&settings.qiniu.endpoint);
    servers.chain(issuers).chain(evidence).chain(traces)
}

fn key_server(keys: &RemoteKeySettings) -> &Origin {
    match &keys.location {
        KeySetLocation::Discovery(url) | KeySetLocation::KeySet(url) => &url.origin,
    }
}

#[cfg(test)]
mod tests;
