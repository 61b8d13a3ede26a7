//! The moment at which a new configuration comes into use.
//!
//! The new gateway is complete by then. What it shares with the one in use is changed, then
//! requests and connections get the new one. Nothing here can fail once it has begun.

use std::{sync::Arc, time::Instant};

use aws_lc_rs::error::Unspecified;

use super::build::{body_limits, naming_key, response_room, show_limits};
use crate::{
    body::memory::BodyLimits,
    config::Settings,
    qiniu::UpstreamSettings,
    relay::gateway::{CurrentGateway, Gateway},
    server::{HeadResponder, ServerSettings, rules::ServerRules},
    session::SessionSettings,
    store::{NamingKey, StoreAddress},
};

/// What the gateways of two configurations share, as the new one wants it.
pub(super) struct SharedChanges {
    body: BodyLimits,
    response_room: u64,
    upstream: UpstreamSettings,
    sessions: Option<SessionSettings>,
    /// With a store: the key that names callers in it, most often the same as before.
    naming: Option<NamingKey>,
    store: Option<StoreAddress>,
}

impl SharedChanges {
    /// Takes what it needs of the settings.
    ///
    /// # Errors
    /// No keys can be derived.
    pub(super) fn of(settings: &mut Settings) -> Result<Self, Unspecified> {
        let sessions = settings.sessions.take();
        let secret = &settings.qiniu.credentials.secret_key;
        let naming = match settings.store.is_some() {
            true => Some(naming_key(sessions.as_ref(), secret)?),
            false => None,
        };
        Ok(Self {
            body: body_limits(&settings.server),
            response_room: response_room(settings),
            upstream: settings.qiniu.clone(),
            sessions,
            naming,
            store: settings.store.take().map(|store| store.address),
        })
    }

    /// Puts them into use.
    ///
    /// # Errors
    /// No keys can be derived; nothing has changed then.
    pub(super) fn apply(self, gateway: &Gateway) -> Result<(), Unspecified> {
        if let (Some(keys), Some(settings)) = (&gateway.sessions, &self.sessions) {
            keys.change(settings, Instant::now())?;
        }
        if let Some(store) = &gateway.store {
            if let Some(naming) = self.naming {
                store.change_naming_key(naming);
            }
            if let Some(address) = self.store {
                store.link.connect_to(address);
            }
        }
        gateway.body_memory.change(self.body);
        gateway.response_memory.resize(self.response_room);
        gateway.upstream.change(self.upstream);
        gateway.authenticator.come_into_use();
        if let Some(audit) = &gateway.audit {
            audit.come_into_use();
        }
        Ok(())
    }
}

/// Serves requests and connections by the new gateway from now on.
pub(super) fn swap(
    current: &CurrentGateway,
    rules: &ServerRules,
    gateway: Arc<Gateway>,
    server: &ServerSettings,
) {
    let responder = head_responder(&gateway);
    show_limits(&gateway.telemetry.metrics, server);
    current.replace(Arc::clone(&gateway));
    rules.replace(server, responder);
    gateway
        .readiness
        .update_keys(|| current.load().authenticator.issuer_keys());
}

/// Responds to heads that never become a request of this gateway.
pub(super) fn head_responder(gateway: &Gateway) -> HeadResponder {
    HeadResponder::new(Arc::clone(&gateway.telemetry), gateway.cors.clone())
}
