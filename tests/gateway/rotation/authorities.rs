//! `ca_file`: new connections trust the new content.

use liveness_gateway::emulator::Scenario;

use super::{Folder, KEYS, identity, settings, until};
use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, emulator,
    identity::{Provider, Signer, hasty, timed},
    secure::{self, Authority},
};

#[tokio::test]
async fn a_new_authority_for_qiniu_replaces_the_old_one() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = Folder::with(&[("ca.pem", &old.pem())]);
    let port = secure::qiniu(&new, 1).await;
    let endpoint = format!("https://localhost:{port}");
    let keys = format!("{KEYS}ca_file = \"ca.pem\"");
    let more = format!("{}{UNBOUND}", identity());
    let gateway = Gateway::run(settings(&endpoint, &folder, &keys, &more)).await;
    let code = async || gateway.post(false, SESSIONCODE, "{}").await.code();
    assert_eq!(code().await, "upstream_unreachable");
    for _ in 0..2 {
        folder.rename_over("ca.pem", &new.pem());
        until("trust", async || code().await.is_empty()).await;
        folder.rename_over("ca.pem", &old.pem());
        until("distrust", async || code().await == "upstream_unreachable").await;
    }
    // Both at once, as during a change of authorities.
    folder.rename_over("ca.pem", &(old.pem() + &new.pem()));
    until("trust", async || code().await.is_empty()).await;
}

#[tokio::test]
async fn keys_are_fetched_once_the_provider_s_authority_is_trusted() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = Folder::with(&[]);
    // As Kubernetes mounts a ConfigMap.
    folder.publish(&[("ca.pem", &old.pem())]);
    let signer = Signer::new("a");
    let provider = Provider::start_with(vec![signer.jwk()], Some(new.acceptor())).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let more = format!("{}{UNBOUND}", provider.identity("ca_file = \"ca.pem\""));
    let settings = settings(&format!("http://{qiniu}"), &folder, "", &more);
    let gateway = Gateway::run(timed(settings, hasty())).await;
    gateway.until_fetch_was("unreachable").await;
    gateway.until_ready_is(503).await;
    folder.publish(&[("ca.pem", &new.pem())]);
    gateway.until_ready_is(200).await;
    let answer = gateway.ask(&signer.token(&provider, "alice")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
