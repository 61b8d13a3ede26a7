//! From the written configuration to checked settings.

pub mod secret;

use crate::{auth, qiniu, relay, server, telemetry};

/// Everything that the gateway needs to start, checked: nothing in here can turn out to be wrong later.
pub struct Settings {
    /// The public listener.
    pub server: server::ServerSettings,
    /// The admin listener.
    pub admin: server::AdminSettings,
    /// Which origins may call from a browser.
    pub cors: relay::CorsSettings,
    /// The upstream.
    pub qiniu: qiniu::UpstreamSettings,
    /// Who may vouch for callers.
    pub identities: Vec<auth::IdentitySettings>,
    /// What can be called.
    pub routes: Vec<relay::RouteSettings>,
    /// Logs.
    pub log: telemetry::LogSettings,
}
