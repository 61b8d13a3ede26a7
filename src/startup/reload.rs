//! Where each value goes that is made anew when its files change. A new kind of watched value gets its line here.

use std::{sync::Arc, time::Instant};

use aws_lc_rs::error::Unspecified;

use crate::{
    config::{Authorities, Rotation},
    relay::{conclude::Conclusions, handle::Gateway},
    rotation::{Watched, Watches},
    server::tls::ServerTls,
    store::{NamesSeal, Store},
    verdict::VerdictKeys,
};

const UNFIT: &str = "no keys can be derived of it";

/// Everything that is watched, each with the part of the gateway that uses it.
pub(super) fn watches(rotation: Rotation, gateway: &Gateway, tls: Option<&ServerTls>) -> Watches {
    let mut watches = Watches::new(rotation.period);
    if let Some(tls) = tls.cloned() {
        watches.add(rotation.tls, move |config| {
            tls.replace(config);
            Ok(())
        });
    }
    let endpoints = Arc::clone(&gateway.endpoints);
    // With bound sessions it is their key that replicas have in common.
    let store = gateway.store.clone().filter(|_| gateway.sessions.is_none());
    watches.add(rotation.credentials, move |credentials| {
        endpoints.sign_with(&credentials);
        let seal = NamesSeal::of(credentials.secret_key.reveal());
        share_names(store.as_deref(), seal.map(|seal| vec![seal]))
    });
    for (issuer, watched) in rotation.identities {
        let authenticator = Arc::clone(&gateway.authenticator);
        watches.add(watched, move |keys| {
            authenticator.change_keys(&issuer, keys);
            Ok(())
        });
    }
    if let (Some(watched), Some(sessions)) = (rotation.seal_keys, &gateway.sessions) {
        let (changing, retiring) = (Arc::clone(sessions), Arc::clone(sessions));
        let store = gateway.store.clone();
        watches.add(Some(watched), move |keys| {
            let changed = changing.change_keys(&keys, Instant::now());
            changed.map_err(|_| UNFIT)?;
            share_names(store.as_deref(), keys.names_in_store())
        });
        watches.also(move || retiring.retire_keys(Instant::now()));
    }
    if let Some(watched) = rotation.verdict {
        watch_verdict_keys(&mut watches, watched, &gateway.conclusions);
    }
    let conclusions = Arc::clone(&gateway.conclusions);
    watches.add(rotation.evidence, move |secret| {
        if let Some(evidence) = conclusions.evidence() {
            evidence.set_secret(secret);
        }
        Ok(())
    });
    watch_authorities(&mut watches, rotation.authorities);
    if let (Some(watched), Some(store)) = (rotation.store, gateway.store.clone()) {
        watches.add(Some(watched), move |address| {
            store.link.connect_to(address);
            Ok(())
        });
    }
    watches
}

fn watch_verdict_keys(
    watches: &mut Watches,
    watched: Watched<VerdictKeys>,
    conclusions: &Arc<Conclusions>,
) {
    let (changing, retiring) = (Arc::clone(conclusions), Arc::clone(conclusions));
    watches.add(Some(watched), move |keys| {
        if let Some(verdicts) = changing.verdicts() {
            verdicts.change_keys(keys, Instant::now());
        }
        Ok(())
    });
    watches.also(move || {
        if let Some(verdicts) = retiring.verdicts() {
            verdicts.retire_keys(Instant::now());
        }
    });
}

/// Connections that are opened from then on trust whom the new file names.
fn watch_authorities(watches: &mut Watches, authorities: Vec<Authorities>) {
    for Authorities { tls, watched } in authorities {
        watches.add(Some(watched), move |config| {
            tls.replace(config);
            Ok(())
        });
    }
}

/// Replicas that start with the new secret shall know how callers are named.
fn share_names(
    store: Option<&Store>,
    seals: Result<Vec<NamesSeal>, Unspecified>,
) -> Result<(), &'static str> {
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
