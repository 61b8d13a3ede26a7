//! Through a good proxy everything works, and the proxy sees nothing but names.

use std::time::Duration;

use liveness_gateway::{
    auth::KeySource,
    outbound::{
        connection::{ClientTls, client_config},
        dial::Dialer,
        names::Names,
        proxy::{Proxy as OutboundProxy, ProxyAddress},
    },
    secret::Secret,
};
use serde_json::json;

use super::{BACKEND, ISSUER, QINIU, World, provider, until_all_is_freed, verify};
use crate::support::{
    Gateway, SESSIONCODE, VERDICT,
    backend::{self, OK},
    events::logged_with,
    identity::{DISCOVERY, Does as Serves, Signer},
    proxy::{Does, LOGIN, PASSWORD, Proxy},
    session, until, upstream,
};

#[tokio::test]
async fn qiniu_issuers_and_evidence_are_reached_through_the_proxy_which_sees_nothing() {
    let backend = backend::start(OK).await;
    let signer = Signer::new("a");
    let provider = provider(&signer).await;
    let keys = json!({"issuer": provider.issuer(), "jwks_uri": format!("https://{ISSUER}/keys")});
    let keys = upstream::answer("200 OK", &keys.to_string());
    provider.does(DISCOVERY, Serves::Answer(keys));
    let world = World::start(&[(ISSUER, provider.address), (BACKEND, backend.address)]).await;
    world.proxy.does(Does::TunnelFor(LOGIN));
    let ca_file = world.ca_file();
    let evidence = format!(
        "[evidence]\nurl = \"https://{BACKEND}/liveness\"\nsecret = {{ env = \"WEBHOOK\" }}\n{ca_file}"
    );
    let more = format!("{}{VERDICT}{evidence}", provider.identity(&ca_file));
    let gateway = Gateway::run(world.settings(&more)).await;
    gateway.until_ready_is(200).await;
    until("the keys", async || provider.requests("/keys") == 1).await;
    let token = signer.token(&provider, "ann");
    until("the token", async || {
        gateway.ask(&token).await.status == 200
    })
    .await;
    let answer = verify(&gateway, &session(&gateway).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(backend.deliveries().len(), 1);
    assert_eq!(world.calls.verify_calls(), 1);
    until_all_is_freed(&gateway, &world.proxy).await;
    for head in world.proxy.heads() {
        let hosts = [QINIU, ISSUER, BACKEND].map(|host| format!("{host}:443"));
        let host = hosts.iter().find(|host| head.contains(host.as_str()));
        let host = host.unwrap_or_else(|| panic!("{head}"));
        let start = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ");
        assert!(head.starts_with(&start), "{head}");
        assert!(head.ends_with(&format!("\r\nProxy-Authorization: {LOGIN}\r\n\r\n")));
    }
    let passed = world.proxy.passed();
    assert!(passed.len() >= 5, "{}", passed.len());
    for tunnel in &passed {
        for bytes in [&tunnel.up, &tunnel.down] {
            let text = String::from_utf8_lossy(bytes);
            for seen in [
                "HTTP/1.1",
                "session",
                "Authorization",
                "webhook",
                PASSWORD,
                "keys",
            ] {
                assert!(!text.contains(seen), "the proxy has seen {seen}");
            }
        }
    }
    world.keeps_the_password(&gateway);
}

#[tokio::test]
async fn a_proxy_may_speak_tls_itself() {
    let world = World::start(&[]).await;
    let qiniu = crate::support::secure::front(&world.authority, not_qiniu().await).await;
    let host = format!("{QINIU}:443");
    let servers = [(host.as_str(), qiniu)];
    let proxy = Proxy::start(Some(world.authority.acceptor()), &servers).await;
    let url = format!("https://ann:{PASSWORD}@localhost:{}", proxy.address.port());
    let address = ProxyAddress::parse(&Secret::new(url)).unwrap();
    let path = world.folder.path().join("ca.pem");
    let trusting = |pem: &str| {
        let config = client_config(Some((&path, pem.as_bytes()))).unwrap();
        let tls = ClientTls::new(config);
        Dialer::new(Some(OutboundProxy::new(address.clone(), tls)))
    };
    let mut settings = world.settings_of("", "");
    settings.qiniu.dialer = trusting(&world.authority.pem());
    let gateway = Gateway::run(settings).await;
    proxy.does(Does::TunnelFor(LOGIN));
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    until("the tunnel is closed", async || !proxy.passed().is_empty()).await;
    // The proxy's certificate is checked as well.
    let mut settings = world.settings_of("", "");
    settings.qiniu.dialer = trusting(&crate::support::secure::Authority::new().pem());
    let gateway = Gateway::run(settings).await;
    let heads = proxy.heads().len();
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.code(), "upstream_unreachable");
    let log = super::logged(&answer);
    assert!(log.contains("proxy of `outbound.proxy` can't be used") && log.contains("certificate"));
    assert_eq!(
        proxy.heads().len(),
        heads,
        "the password went to a stranger"
    );
}

/// A server that answers as Qiniu does.
async fn not_qiniu() -> std::net::SocketAddr {
    let body = "{\"error_code\":0,\"result\":{\"session_id\":\"S1\",\"code\":\"0\"}}";
    let does = upstream::Does::Answer(upstream::answer("200 OK", body));
    upstream::start(does).await.address
}

#[tokio::test]
async fn loopback_and_the_hosts_of_no_proxy_are_reached_directly() {
    let world = World::start(&[]).await;
    world.proxy.does(Does::Close);
    let outbound = "[outbound]\nproxy = { env = \"PROXY\" }\nno_proxy = [\".example\"]\n";
    let mut settings = world.settings_of(outbound, "");
    let qiniu = crate::support::secure::front(&world.authority, not_qiniu().await).await;
    let names = Names::table([(QINIU, vec![qiniu])]);
    settings.qiniu.dialer = settings.qiniu.dialer.with_names(names);
    let gateway = Gateway::run(settings).await;
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut settings = world.settings("");
    settings.qiniu.endpoint.host = "localhost".into();
    settings.qiniu.endpoint.port = qiniu.port();
    let gateway = Gateway::run(settings).await;
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(world.proxy.heads().is_empty());
}

#[tokio::test]
async fn a_new_password_of_the_proxy_is_used_without_a_restart() {
    let world = World::start(&[]).await;
    world.proxy.does(Does::TunnelFor(LOGIN));
    let url = |password: &str| format!("http://ann:{password}@{}\n", world.proxy.address);
    world.folder.write("proxy", &url("old-password"));
    let file = world.folder.path().join("proxy");
    let outbound = format!("[outbound]\nproxy = {{ file = \"{}\" }}\n", file.display());
    let mut settings = world.settings_of(&outbound, "");
    settings.reloadable.poll_interval = Duration::from_millis(5);
    let gateway = Gateway::run(settings).await;
    let code = async || gateway.post(false, SESSIONCODE, "{}").await.code();
    assert_eq!(code().await, "upstream_unreachable");
    world.folder.rename_over("proxy", "not a URL: old-password");
    until("it is refused", async || {
        let lines = logged_with(&world.folder.name());
        lines
            .iter()
            .any(|line| line.contains("is not the URL of an HTTP proxy"))
    })
    .await;
    world.folder.rename_over("proxy", &url(PASSWORD));
    until("it is used", async || code().await.is_empty()).await;
    for text in [gateway.log(), logged_with("outbound.proxy").join("\n")] {
        assert!(!text.contains("old-password"), "{text}");
    }
    world.keeps_the_password(&gateway);
}

#[tokio::test]
async fn the_issuer_s_keys_come_as_soon_as_the_proxy_works() {
    let signer = Signer::new("a");
    let provider = provider(&signer).await;
    let world = World::start(&[(ISSUER, provider.address)]).await;
    world
        .proxy
        .does(Does::Answer(b"HTTP/1.1 407 X\r\n\r\n".to_vec()));
    let keys = format!("jwks_url = \"https://{ISSUER}/keys\"\n{}", world.ca_file());
    let mut settings = world.settings(&provider.identity(&keys));
    for identity in &mut settings.identities {
        if let KeySource::Remote(remote) = &mut identity.keys {
            remote.timing = crate::support::identity::hasty();
        }
    }
    let gateway = Gateway::run(settings).await;
    gateway.until_fetch_was("unreachable").await;
    until("it is logged", async || {
        let lines = logged_with(ISSUER);
        lines
            .iter()
            .any(|line| line.contains("wants other credentials (407)"))
    })
    .await;
    world.proxy.does(Does::TunnelFor(LOGIN));
    let token = signer.token(&provider, "ann");
    until("the token", async || {
        gateway.ask(&token).await.status == 200
    })
    .await;
    world.keeps_the_password(&gateway);
}
