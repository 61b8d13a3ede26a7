//! A name whose first address drops every SYN, and whose second is good, costs next to nothing.

use std::net::SocketAddr;

use liveness_gateway::{
    auth::KeySource,
    config::Settings,
    emulator::Scenario,
    outbound::{dial::Dialer, names::Names},
};

use super::verify;
use crate::support::{
    Gateway, VERDICT,
    backend::{self, OK},
    dead::{self, Dead},
    emulator, events,
    identity::{Provider, Signer, section},
    routes, session, settings_with, until,
};

/// `localhost` with the dead address first.
fn half_dead(dead: &Dead, good: SocketAddr) -> Dialer {
    let names = Names::table([("localhost", vec![dead.address, good])]);
    Dialer::default().with_names(names)
}

fn at_localhost(address: SocketAddr) -> String {
    format!("http://localhost:{}", address.port())
}

/// Settings with Qiniu, an issuer, a key set and a backend, each of which has a dead address.
async fn settings(
    dead: &Dead,
    store: &str,
    redis: &str,
) -> (Settings, Provider, Signer, backend::Backend) {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let backend = backend::start(OK).await;
    let signer = Signer::new("a");
    let provider = Provider::start(vec![signer.jwk()]).await;
    provider.set_issuer(&at_localhost(provider.address));
    let keys = format!("jwks_url = \"{}/keys\"", at_localhost(provider.address));
    let more = [
        &provider.identity(""),
        &section("https://other.example/", &keys),
        &section(crate::support::ISSUER, "secret = { env = \"JWT\" }"),
        crate::support::sealed::SETTINGS,
        VERDICT,
        &format!(
            "[evidence]\nurl = \"{}/liveness\"\nsecret = {{ env = \"WEBHOOK\" }}\n",
            at_localhost(backend.address)
        ),
        store,
        &routes(),
    ]
    .map(str::to_owned)
    .concat();
    let endpoint = format!("endpoint = \"{}\"", at_localhost(qiniu));
    let mut settings = settings_with(&endpoint, "", &more, &[("REDIS", redis)]);
    settings.qiniu.dialer = half_dead(dead, qiniu);
    if let Some(evidence) = &mut settings.evidence {
        evidence.dialer = half_dead(dead, backend.address);
    }
    for identity in &mut settings.identities {
        if let KeySource::Remote(remote) = &mut identity.keys {
            remote.dialer = half_dead(dead, provider.address);
        }
    }
    (settings, provider, signer, backend)
}

#[tokio::test]
async fn qiniu_issuers_and_evidence_are_reached_past_a_dead_address() {
    events::keep();
    let dead = dead::start().await;
    let (settings, provider, signer, backend) = settings(&dead, "", "").await;
    let gateway = Gateway::run(settings).await;
    gateway.until_ready_is(200).await;
    // By discovery, and by the URL of the key set.
    until("both key sets", async || provider.requests("/keys") == 2).await;
    assert_eq!(
        gateway.ask(&signer.token(&provider, "ann")).await.status,
        200
    );
    let answer = verify(&gateway, &session(&gateway).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(backend.deliveries().len(), 1);
}

#[tokio::test]
async fn a_name_without_addresses_is_a_502_that_says_so() {
    events::keep();
    let shared = section(crate::support::ISSUER, "secret = { env = \"JWT\" }");
    let more = format!("{shared}{}", routes());
    let mut settings = settings_with("endpoint = \"https://qiniu.example\"", "", &more, &[]);
    settings.qiniu.dialer = Dialer::default().with_names(Names::table([]));
    let gateway = Gateway::run(settings).await;
    let answer = gateway.post(false, crate::support::SESSIONCODE, "{}").await;
    let status = (answer.status.as_u16(), answer.code());
    assert_eq!(status, (502, "upstream_unreachable".into()));
    let logged = super::logged(&answer);
    assert!(
        logged.contains("can't be reached: its name has no address"),
        "{logged}"
    );
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn the_store_is_reached_past_a_dead_address() {
    use crate::support::redis::{self, Redis};
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let url = format!("redis://localhost:{}", redis.port);
    let store = "[store]\nredis = { env = \"REDIS\" }\ntimeout = \"2s\"\n";
    let dead = dead::start().await;
    let (mut settings, ..) = settings(&dead, store, &url).await;
    let good = SocketAddr::from(([127, 0, 0, 1], redis.port));
    if let Some(store) = &mut settings.store {
        store.dialer = half_dead(&dead, good);
    }
    let gateway = Gateway::run(settings).await;
    until("the store is up", async || {
        gateway
            .metrics()
            .await
            .contains("liveness_gateway_store_up 1\n")
    })
    .await;
}
