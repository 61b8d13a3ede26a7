//! Connections outwards: addresses that are dead, and proxies, good and bad.

mod bad_proxies;
mod broken_tunnels;
mod dead_addresses;
mod tunnels;
mod upstream_behind_proxy;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use liveness_gateway::{
    config::Settings,
    emulator::{EmulatorHandle, Scenario},
};

use crate::support::{
    Answer, Gateway, VERIFY, emulator,
    events::{self, logged_with},
    folder::Folder,
    identity::{Provider, Signer, section},
    proxy::{LOGIN, PASSWORD, Proxy},
    routes, sealed,
    secure::{self, Authority},
    settings_with, until,
};

/// The hosts that are reached through the proxy, and no resolver knows.
const QINIU: &str = "qiniu.example";
const ISSUER: &str = "login.example";
const BACKEND: &str = "backend.example";

/// An emulated Qiniu behind TLS, the authority of its certificate, and a proxy that knows it.
struct World {
    authority: Authority,
    folder: Folder,
    calls: Arc<EmulatorHandle>,
    proxy: Proxy,
}

impl World {
    /// `more` are further hosts, which speak plain HTTP; they get TLS as well.
    async fn start(more: &[(&str, SocketAddr)]) -> Self {
        events::keep();
        let authority = Authority::new();
        let (qiniu, calls) = emulator(Scenario::Pass).await;
        let mut servers = Vec::new();
        // The first of a name counts.
        for (host, server) in [more, &[(QINIU, qiniu)]].concat() {
            servers.push((
                format!("{host}:443"),
                secure::front(&authority, server).await,
            ));
        }
        let servers: Vec<_> = servers
            .iter()
            .map(|(host, it)| (host.as_str(), *it))
            .collect();
        Self {
            folder: Folder::with(&[("ca.pem", &authority.pem())]),
            authority,
            calls,
            proxy: Proxy::start(None, &servers).await,
        }
    }

    fn ca_file(&self) -> String {
        format!(
            "ca_file = \"{}\"\n",
            self.folder.path().join("ca.pem").display()
        )
    }

    fn proxy_url(&self) -> String {
        format!("http://ann:{PASSWORD}@{}", self.proxy.address)
    }

    /// Settings of a gateway that reaches Qiniu through the proxy, and keeps no connection.
    fn settings(&self, more: &str) -> Settings {
        let outbound = "[outbound]\nproxy = { env = \"PROXY\" }\n";
        self.settings_of(outbound, more)
    }

    fn settings_of(&self, outbound: &str, more: &str) -> Settings {
        let qiniu = format!("endpoint = \"https://{QINIU}\"\n{}", self.ca_file());
        let shared = section(crate::support::ISSUER, "secret = { env = \"JWT\" }");
        let more = format!("{outbound}{shared}{}{more}{}", sealed::SETTINGS, routes());
        let secrets = [("PROXY", self.proxy_url())];
        let secrets = secrets
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let mut settings = settings_with(&qiniu, "", &more, &secrets);
        settings.qiniu.idle_timeout = Duration::ZERO;
        // So a new connection closes one that was kept, or opened for nothing, at once.
        settings.qiniu.max_connections = 1;
        settings
    }

    /// Nothing of the proxy's login left the gateway but to the proxy.
    fn keeps_the_password(&self, gateway: &Gateway) {
        let address = self.proxy.address.to_string();
        for text in [gateway.log(), logged_with("outbound.proxy").join("\n")] {
            for secret in [PASSWORD, LOGIN.trim_start_matches("Basic "), &address] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
        }
    }
}

/// A provider at [`ISSUER`], whose two documents name each other by that host.
async fn provider(signer: &Signer) -> Provider {
    let provider = Provider::start(vec![signer.jwk()]).await;
    let issuer = format!("https://{ISSUER}");
    provider.set_issuer(&issuer);
    provider
}

async fn verify(gateway: &Gateway, session: &str) -> Answer {
    let body = crate::support::verify_body(session, &crate::support::video(0));
    gateway.post(false, VERIFY, body).await
}

/// What the gateway logged about this response.
fn logged(answer: &Answer) -> String {
    logged_with(answer.header("x-request-id")).join("\n")
}

/// Waits until the gateway holds nothing of any request, and no connection to the proxy.
async fn until_all_is_freed(gateway: &Gateway, proxy: &Proxy) {
    gateway.until_metrics_have("body_memory_bytes 0").await;
    until("the connections are closed", async || proxy.open() == 0).await;
}
