//! Each server that a configuration names: asks it by the module that its connections belong to,
//! and puts into words what was found.

use std::time::Duration;

use super::finding::{Finding, ServerKeys};
use crate::{
    auth::{
        KeySetError, KeySetFetchError, ProbedKeySet,
        remote::{KeySetLocation, RemoteKeySettings},
    },
    evidence::EvidenceSettings,
    outbound::{
        advice::{SettingAtFault, advice},
        connection::TlsDetails,
        dial::Dialer,
        origin::Origin,
        probe::ServerAnswer,
    },
    qiniu::UpstreamSettings,
    store::{ProbedStore, StoreSettings},
    telemetry::{peer_clock::BOUND, timestamp::rfc3339_millis},
    traces::TraceSettings,
};

/// Whether the proxy opens a tunnel to a server that is reached through it.
pub(super) async fn proxy(dialer: Dialer, target: Option<Origin>, limit: Duration) -> Finding {
    let tunnel = match &target {
        Some(target) => dialer.open_tunnel(target, limit).await,
        None => None,
    };
    match (tunnel, target) {
        (Some(Ok(connection)), Some(target)) => {
            let tls = connection.tls_details();
            let tls = tls.map(|tls| secured(&tls) + ", ").unwrap_or_default();
            Finding::good(format!("{tls}opens a tunnel to {}", target.authority))
        }
        (Some(Err(error)), _) => {
            let keys = ServerKeys::new("outbound", "proxy");
            keys.failed(&error, advice(&error), SettingAtFault::Proxy)
        }
        (None, _) | (_, None) => {
            let nothing = "no server that is named here is reached through it".to_owned();
            Finding::with_oddities("not asked".into(), vec![nothing])
        }
    }
}

/// Whether Qiniu is there, and agrees on the time.
pub(super) async fn qiniu(settings: UpstreamSettings, limit: Duration) -> Finding {
    let proxied = settings.dialer.is_proxied(&settings.endpoint);
    match settings.probe(limit).await {
        Ok(answer) => {
            let seen = seen(&answer, "GET /", proxied);
            let text = format!("{seen}; its keys are not checked: a signed call may be billed");
            Finding::with_oddities(text, clock_oddity(answer.skew))
        }
        Err(error) => {
            let keys = ServerKeys::new("qiniu", "endpoint");
            keys.failed(&error, error.advice(), error.setting())
        }
    }
}

/// An issuer whose keys are fetched.
pub(super) async fn issuer(number: usize, issuer: String, settings: RemoteKeySettings) -> Finding {
    let (key, origin) = match &settings.location {
        KeySetLocation::Discovery(url) => ("issuer", &url.origin),
        KeySetLocation::KeySet(url) => ("jwks_url", &url.origin),
    };
    let proxied = settings.dialer.is_proxied(origin);
    let keys = ServerKeys::new(format!("identity[{number}]"), key);
    match settings.probe(&issuer).await {
        Ok(probed) => key_set(&probed, proxied),
        Err(error) => {
            let section = &keys.section;
            match &error {
                KeySetFetchError::KeySet {
                    source: KeySetError::NoKeyForAlgorithms,
                    ..
                } => Finding::failed(format!(
                    "{error}; list an algorithm of the issuer's ({section}.algorithms)"
                )),
                _ => keys.failed(&error, error.advice(), error.setting()),
            }
        }
    }
}

/// An issuer whose keys are in the configuration.
pub(super) fn fixed_keys() -> Finding {
    Finding::good("keys from the configuration, nothing to ask")
}

/// Whether the store can be used.
pub(super) async fn store(settings: StoreSettings, limit: Duration) -> Finding {
    let timeout = settings.timeout;
    match settings.probe(limit).await {
        Ok(ProbedStore {
            version,
            primary,
            call,
            warnings,
        }) => {
            let version = version.unwrap_or_else(|| "version unknown".into());
            let primary = primary.map_or("primary".into(), |server| format!("primary {server}"));
            let text = format!(
                "{version}, {primary}, writes and scripts allowed, {call:.1?} a call (store.timeout \
                 {timeout:?})"
            );
            let odd = warnings.iter().map(ToString::to_string);
            Finding::with_oddities(text, odd.collect())
        }
        Err(error) => {
            let keys = ServerKeys::new("store", "redis");
            keys.failed(&error, error.advice(), error.setting())
        }
    }
}

/// Whether the backend that takes evidence is there, and agrees on the time.
pub(super) async fn evidence(settings: EvidenceSettings, limit: Duration) -> Finding {
    let proxied = settings.dialer.is_proxied(&settings.url.origin);
    match settings.probe(limit).await {
        Ok(answer) => {
            let seen = seen(&answer, "OPTIONS", proxied);
            let text = format!("{seen}; nothing was delivered, so evidence.secret is not checked");
            Finding::with_oddities(text, clock_oddity(answer.skew))
        }
        Err(error) => {
            let keys = ServerKeys::new("evidence", "url");
            keys.failed(&error, error.advice(), error.setting())
        }
    }
}

/// Whether the collector takes traces.
pub(super) async fn traces(settings: TraceSettings, limit: Duration) -> Finding {
    let proxied = settings.dialer.is_proxied(&settings.url.origin);
    match settings.probe(limit).await {
        Ok(answer) => Finding::good(seen(&answer, "an empty batch", proxied)),
        Err(error) => {
            let keys = ServerKeys::new("telemetry", "otlp_endpoint");
            keys.failed(&error, error.advice(), error.setting())
        }
    }
}

fn key_set(probed: &ProbedKeySet, proxied: bool) -> Finding {
    let names = probed.algorithms.iter().map(|it| format!("{it:?}"));
    let names: Vec<_> = names.collect();
    let plural = if probed.keys == 1 { "" } else { "s" };
    let text = format!(
        "{} key{plural} for {}, fetched again every {:?}, {}{}",
        probed.keys,
        names.join(", "),
        probed.next_fetch,
        clock(probed.skew),
        way(proxied)
    );
    let warnings = probed.warnings.iter().map(ToString::to_string);
    let odd = warnings.chain(clock_oddity(probed.skew));
    Finding::with_oddities(text, odd.collect())
}

/// What an HTTP server has answered to a request.
fn seen(answer: &ServerAnswer, request: &str, proxied: bool) -> String {
    let tls = answer.tls.as_ref().map(secured);
    format!(
        "{}, answers {request} with {}, {}{}",
        tls.unwrap_or_else(|| "no TLS".into()),
        answer.status,
        clock(answer.skew),
        way(proxied)
    )
}

fn secured(tls: &TlsDetails) -> String {
    match tls.certificate_end {
        Some(end) => format!("{}, certificate until {}", tls.version, rfc3339_millis(end)),
        None => tls.version.to_owned(),
    }
}

fn clock(skew: Option<f64>) -> String {
    match skew {
        Some(0.0) => "clock right".into(),
        Some(skew) => format!("clock {skew:+.1} s"),
        None => "clock unknown".into(),
    }
}

fn clock_oddity(skew: Option<f64>) -> Vec<String> {
    let wrong = skew.filter(|skew| skew.abs() > BOUND);
    let said = wrong.map(|skew| {
        format!(
            "its clock less this machine's is {skew:+.0} s: set the one that is wrong right (NTP)"
        )
    });
    said.into_iter().collect()
}

fn way(proxied: bool) -> &'static str {
    if proxied { ", through the proxy" } else { "" }
}
