//! Which part of a gateway gets each value that is reloaded when its files change.
//!
//! A new kind of reloadable value gets a line here. Never reads a file: [`crate::rotation`] does.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use rustls::ServerConfig;

use crate::{
    config::{
        CertifiedConfig, ReloadableAuthorities, ReloadableProxy, ReloadableSettings, expiring,
    },
    relay::{finalize::ResponseFinalizer, gateway::Gateway},
    rotation::{Reloadable, Reloader},
    server::tls::ServerTls,
    session::{SessionKeys, SessionSettings},
    store::{NamingKey, Store},
    telemetry::metrics::{CertificateExpiries, Metrics, labels::ReloadedPart},
    verdict::VerdictKeys,
};

const UNFIT: &str = "no keys can be derived from it";

/// Connects each reloadable value with the part of the gateway that uses it.
pub(super) fn reloader(
    reloadable: ReloadableSettings,
    gateway: &Gateway,
    tls: Option<&ServerTls>,
) -> Reloader {
    let metrics = Arc::clone(&gateway.telemetry.metrics);
    let mut reloader = Reloader::new(Arc::clone(&metrics));
    metrics.replace_certificate_expiries(reloadable.expiries);
    if let (Some(reloadable), Some(tls)) = (reloadable.tls, tls) {
        watch_certificate(&mut reloader, reloadable, tls, &metrics);
    }
    retire_keys(&mut reloader, gateway);
    let endpoints = Arc::clone(&gateway.endpoints);
    // Where sessions are bound, the seal key names callers in the store instead.
    let store = gateway.store.clone().filter(|_| gateway.sessions.is_none());
    reloader.add(
        ReloadedPart::Credentials,
        reloadable.credentials,
        move |credentials| {
            endpoints.sign_with(&credentials);
            if let Some(store) = &store {
                let naming = NamingKey::derive(credentials.secret_key.reveal());
                store.change_naming_key(naming.map_err(|_| UNFIT)?);
            }
            Ok(())
        },
    );
    for (issuer, reloadable) in reloadable.identities {
        let authenticator = Arc::clone(&gateway.authenticator);
        reloader.add(ReloadedPart::IdentityKeys, reloadable, move |keys| {
            authenticator.change_keys(&issuer, keys);
            Ok(())
        });
    }
    if let (Some(reloadable), Some(sessions)) = (reloadable.seal_keys, &gateway.sessions) {
        watch_seal_keys(&mut reloader, reloadable, sessions, gateway.store.clone());
    }
    if let Some(reloadable) = reloadable.verdict {
        watch_verdict_keys(&mut reloader, reloadable, &gateway.finalizer);
    }
    let finalizer = Arc::clone(&gateway.finalizer);
    reloader.add(
        ReloadedPart::EvidenceSecret,
        reloadable.evidence,
        move |secret| {
            if let Some(evidence) = finalizer.evidence() {
                evidence.set_secret(secret);
            }
            Ok(())
        },
    );
    watch_authorities(&mut reloader, reloadable.authorities, &metrics);
    watch_proxy(&mut reloader, reloadable.proxy);
    if let (Some(reloadable), Some(store)) = (reloadable.store, gateway.store.clone()) {
        reloader.add(ReloadedPart::Store, Some(reloadable), move |address| {
            store.link.connect_to(address);
            Ok(())
        });
    }
    reloader
}

fn watch_certificate(
    reloader: &mut Reloader,
    reloadable: Reloadable<CertifiedConfig<Arc<ServerConfig>>>,
    tls: &ServerTls,
    metrics: &Arc<Metrics>,
) {
    let (tls, metrics) = (tls.clone(), Arc::clone(metrics));
    reloader.add(ReloadedPart::Tls, Some(reloadable), move |certified| {
        tls.replace(certified.config);
        warn_of_expiry(&certified.expiries);
        metrics.update_certificate_expiries(certified.expiries);
        Ok(())
    });
}

/// A file that was renewed may be an old one.
fn warn_of_expiry(expiries: &CertificateExpiries) {
    for warning in expiring(expiries, SystemTime::now()) {
        tracing::warn!("{warning}");
    }
}

fn watch_seal_keys(
    reloader: &mut Reloader,
    reloadable: Reloadable<SessionSettings>,
    sessions: &Arc<SessionKeys>,
    store: Option<Arc<Store>>,
) {
    let changing = Arc::clone(sessions);
    reloader.add(ReloadedPart::SealKeys, Some(reloadable), move |keys| {
        let changed = changing.change(&keys, Instant::now());
        changed.map_err(|_| UNFIT)?;
        if let (Some(store), Some(key)) = (&store, &keys.seal_key) {
            let naming = NamingKey::derive(key.reveal());
            store.change_naming_key(naming.map_err(|_| UNFIT)?);
        }
        Ok(())
    });
}

fn watch_verdict_keys(
    reloader: &mut Reloader,
    reloadable: Reloadable<VerdictKeys>,
    finalizer: &Arc<ResponseFinalizer>,
) {
    let finalizer = Arc::clone(finalizer);
    reloader.add(ReloadedPart::VerdictKeys, Some(reloadable), move |keys| {
        if let Some(verdicts) = finalizer.verdicts() {
            verdicts.change_keys(keys, Instant::now());
        }
        Ok(())
    });
}

/// Ends keys that were replaced, by a file or by a reload of the configuration, when their time is
/// over.
fn retire_keys(reloader: &mut Reloader, gateway: &Gateway) {
    if let Some(sessions) = gateway.sessions.clone() {
        reloader.at_each_poll(move || sessions.retire(Instant::now()));
    }
    let finalizer = Arc::clone(&gateway.finalizer);
    reloader.at_each_poll(move || {
        if let Some(verdicts) = finalizer.verdicts() {
            verdicts.retire_keys(Instant::now());
        }
    });
}

/// New connections go through the proxy at the new address; open ones stay.
fn watch_proxy(reloader: &mut Reloader, proxy: Option<ReloadableProxy>) {
    if let Some(ReloadableProxy { proxy, reloadable }) = proxy {
        reloader.add(ReloadedPart::Proxy, Some(reloadable), move |address| {
            proxy.replace(address);
            Ok(())
        });
    }
}

/// New connections trust the authorities of the new file; open ones stay.
fn watch_authorities(
    reloader: &mut Reloader,
    authorities: Vec<ReloadableAuthorities>,
    metrics: &Arc<Metrics>,
) {
    for ReloadableAuthorities { tls, reloadable } in authorities {
        let metrics = Arc::clone(metrics);
        reloader.add(
            ReloadedPart::Authorities,
            Some(reloadable),
            move |certified| {
                tls.replace(certified.config);
                warn_of_expiry(&certified.expiries);
                metrics.update_certificate_expiries(certified.expiries);
                Ok(())
            },
        );
    }
}
