//! Where each value goes that is made anew when its files change. A new kind of reloadable value gets its line here.

use std::{sync::Arc, time::Instant};

use aws_lc_rs::error::Unspecified;

use crate::{
    config::{ReloadableAuthorities, ReloadableSettings},
    relay::{finalize::ResponseFinalizer, gateway::Gateway},
    rotation::{ApplyError, Reloadable, Reloader},
    server::tls::ServerTls,
    store::{NamesSeal, Store},
    verdict::VerdictKeys,
};

const UNFIT: &str = "no keys can be derived of it";

/// Everything that is reloadable, each with the part of the gateway that uses it.
pub(super) fn reloader(
    reloadable: ReloadableSettings,
    gateway: &Gateway,
    tls: Option<&ServerTls>,
) -> Reloader {
    let mut reloader = Reloader::new(reloadable.poll_interval);
    if let Some(tls) = tls.cloned() {
        reloader.add(reloadable.tls, move |config| {
            tls.replace(config);
            Ok(())
        });
    }
    let endpoints = Arc::clone(&gateway.endpoints);
    // With bound sessions it is their key that replicas have in common.
    let store = gateway.store.clone().filter(|_| gateway.sessions.is_none());
    reloader.add(reloadable.credentials, move |credentials| {
        endpoints.sign_with(&credentials);
        let seal = NamesSeal::of(credentials.secret_key.reveal());
        share_names(store.as_deref(), seal.map(|seal| vec![seal]))
    });
    for (issuer, reloadable) in reloadable.identities {
        let authenticator = Arc::clone(&gateway.authenticator);
        reloader.add(reloadable, move |keys| {
            authenticator.change_keys(&issuer, keys);
            Ok(())
        });
    }
    if let (Some(reloadable), Some(sessions)) = (reloadable.seal_keys, &gateway.sessions) {
        let (changing, retiring) = (Arc::clone(sessions), Arc::clone(sessions));
        let store = gateway.store.clone();
        reloader.add(Some(reloadable), move |keys| {
            let changed = changing.change_keys(&keys, Instant::now());
            changed.map_err(|_| UNFIT)?;
            share_names(store.as_deref(), keys.names_in_store())
        });
        reloader.at_each_poll(move || retiring.retire_keys(Instant::now()));
    }
    if let Some(reloadable) = reloadable.verdict {
        watch_verdict_keys(&mut reloader, reloadable, &gateway.finalizer);
    }
    let finalizer = Arc::clone(&gateway.finalizer);
    reloader.add(reloadable.evidence, move |secret| {
        if let Some(evidence) = finalizer.evidence() {
            evidence.set_secret(secret);
        }
        Ok(())
    });
    watch_authorities(&mut reloader, reloadable.authorities);
    if let (Some(reloadable), Some(store)) = (reloadable.store, gateway.store.clone()) {
        reloader.add(Some(reloadable), move |address| {
            store.link.connect_to(address);
            Ok(())
        });
    }
    reloader
}

fn watch_verdict_keys(
    reloader: &mut Reloader,
    reloadable: Reloadable<VerdictKeys>,
    finalizer: &Arc<ResponseFinalizer>,
) {
    let (changing, retiring) = (Arc::clone(finalizer), Arc::clone(finalizer));
    reloader.add(Some(reloadable), move |keys| {
        if let Some(verdicts) = changing.verdicts() {
            verdicts.change_keys(keys, Instant::now());
        }
        Ok(())
    });
    reloader.at_each_poll(move || {
        if let Some(verdicts) = retiring.verdicts() {
            verdicts.retire_keys(Instant::now());
        }
    });
}

/// Connections that are opened from then on trust whom the new file names.
fn watch_authorities(reloader: &mut Reloader, authorities: Vec<ReloadableAuthorities>) {
    for ReloadableAuthorities { tls, reloadable } in authorities {
        reloader.add(Some(reloadable), move |config| {
            tls.replace(config);
            Ok(())
        });
    }
}

/// Replicas that start with the new secret shall know how callers are named.
fn share_names(
    store: Option<&Store>,
    seals: Result<Vec<NamesSeal>, Unspecified>,
) -> Result<(), ApplyError> {
    let seals = seals.map_err(|_| UNFIT)?;
    if let Some(store) = store {
        // The first one is the one in use: it is to stay the longest.
        seals
            .into_iter()
            .rev()
            .for_each(|seal| store.share_names(seal));
    }
    Ok(())
}
