//! What is valid, but probably not meant so: warnings of `check`, and of the log at the start.
//!
//! A warning says what follows and what to do. Never names the value of a variable.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;

use super::{reader::ConfigReader, settings::Settings};
use crate::{
    route::RouteKind,
    telemetry::{metrics::CertificateExpiries, timestamp::rfc3339_millis},
};

/// How long before its end a certificate is warned of.
const EXPIRY_NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The variables that are ours and override no key.
const KNOWN_VARIABLES: [&str; 2] = ["LIVENESS_GATEWAY_CONFIG", "LIVENESS_GATEWAY_PREDECESSOR"];

impl ConfigReader<'_> {
    /// Warns of what is odd about valid settings.
    pub(super) fn warn_of(&mut self, settings: &Settings, now: SystemTime) {
        self.warnings
            .extend(expiring(&settings.reloadable.expiries, now));
        let server = &settings.server;
        let exposed = |address: &&SocketAddr| !address.ip().is_loopback();
        if server.tls.is_none()
            && server.trusted_proxies.is_empty()
            && let Some(address) = server.listen.iter().find(exposed)
        {
            self.warnings.push(format!(
                "{address} is reachable from other machines, and tokens and faces reach it without \
                 TLS: write [server.tls], or name the proxies that terminate TLS in \
                 `server.trusted_proxies`"
            ));
        }
        // Two halves of all addresses are all addresses, too.
        let networks = IpNet::aggregate(&server.trusted_proxies);
        if let Some(everybody) = networks.iter().find(|it| it.prefix_len() == 0) {
            self.warnings.push(format!(
                "`server.trusted_proxies` holds {everybody}, which is everybody: any client can \
                 choose the address that it is counted by; name the networks of your proxies"
            ));
        }
        let has = |kind| settings.routes.iter().any(|route| route.kind == kind);
        if settings.sessions.is_some() && has(RouteKind::Verify) && !has(RouteKind::Session) {
            self.warnings.push(
                "there is a verify route, but no session route: with `sessions.bind`, only ids \
                 that this gateway has sealed are accepted; add a route of kind \"session\", or \
                 write `sessions.bind = false`"
                    .into(),
            );
        }
        if settings.sessions.is_some() && has(RouteKind::Session) && !has(RouteKind::Verify) {
            self.warnings.push(
                "there is a session route, but no verify route, where its sessions could be used: \
                 once a route is written, only those that are written exist; add a route of kind \
                 \"verify\""
                    .into(),
            );
        }
        self.warn_of_variables();
    }

    /// Warns of variables that look like overrides and are none.
    fn warn_of_variables(&mut self) {
        let misspelt = self.variables.keys().filter(|name| is_misspelt(name));
        let warnings = misspelt.map(|name| {
            format!(
                "the environment variable {name} looks like ours, but has no effect: an override \
                 is written LIVENESS_GATEWAY__SECTION__KEY"
            )
        });
        let warnings: Vec<_> = warnings.collect();
        self.warnings.extend(warnings);
    }
}

/// Warns of certificates that have expired, or soon do. Also where files change.
pub fn expiring(
    expiries: &CertificateExpiries,
    now: SystemTime,
) -> impl Iterator<Item = String> + '_ {
    expiries.iter().filter_map(move |(file, end)| {
        let state = match end.duration_since(now) {
            Ok(left) if left > EXPIRY_NOTICE => return None,
            Ok(_) => "expires on",
            Err(_) => "has expired on",
        };
        let (file, end) = (file.display(), rfc3339_millis(*end));
        Some(format!("the certificate in {file} {state} {end}: renew it"))
    })
}

/// Whether a variable looks like an override. Names that Kubernetes makes for a Service called
/// `liveness-gateway` do not count.
fn is_misspelt(name: &str) -> bool {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let Some(rest) = upper
        .strip_prefix("LIVENESS_GATEWAY_")
        .or_else(|| upper.strip_prefix("LIVENESSGATEWAY_"))
    else {
        return false;
    };
    let of_a_service = ["PORT", "SERVICE_HOST", "SERVICE_PORT"].iter().any(|kind| {
        rest.strip_prefix(kind)
            .is_some_and(|it| it.is_empty() || it.starts_with('_'))
    });
    !of_a_service && !name.starts_with("LIVENESS_GATEWAY__") && !KNOWN_VARIABLES.contains(&name)
}
