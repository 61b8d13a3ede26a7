//! `ca_file`: who is trusted from now on, by connections that are opened from now on.

use liveness_gateway::{auth::KeySource, emulator::Scenario};

use crate::{
    Folder, PERIOD, identity, load,
    support::{
        Gateway, SESSIONCODE, UNBOUND, emulator,
        identity::{Provider, Signer, hasty},
        routes,
        secure::{self, acceptor, authority},
    },
    until,
};

async fn gateway(folder: &Folder, qiniu: &str, identities: &str) -> Gateway {
    crate::support::identity::logged_with("");
    let text = format!(
        "server.listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n\
         [qiniu]\naccess_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n{qiniu}\n{UNBOUND}{identities}{}",
        routes()
    );
    let mut settings = load(&text, folder.path());
    settings.rotation.period = PERIOD;
    for identity in &mut settings.identities {
        if let KeySource::Remote(remote) = &mut identity.keys {
            remote.timing = hasty();
        }
    }
    Gateway::run(settings).await
}

#[tokio::test]
async fn qiniu_s_new_authority_is_trusted_and_the_old_one_no_more() {
    let (old, new) = (authority(), authority());
    let folder = Folder::with(&[("ca.pem", &old.pem())]);
    let port = secure::qiniu(&new, 1).await;
    let qiniu = format!("endpoint = \"https://localhost:{port}\"\nca_file = \"ca.pem\"");
    let gateway = gateway(&folder, &qiniu, &identity()).await;
    let code = async || gateway.post(false, SESSIONCODE, "{}").await.code();
    assert_eq!(code().await, "upstream_unreachable");
    for _ in 0..2 {
        folder.rename_over("ca.pem", &new.pem());
        until("trust", async || code().await.is_empty()).await;
        folder.rename_over("ca.pem", &old.pem());
        until("distrust", async || code().await == "upstream_unreachable").await;
    }
    // Both at once, as while one replaces the other.
    folder.rename_over("ca.pem", &(old.pem() + &new.pem()));
    until("trust", async || code().await.is_empty()).await;
}

#[tokio::test]
async fn keys_come_when_their_provider_s_authority_is_trusted() {
    let (old, new) = (authority(), authority());
    let folder = Folder::with(&[]);
    // As Kubernetes mounts a ConfigMap.
    folder.publish(&[("ca.pem", &old.pem())]);
    let signer = Signer::new("a");
    let provider = Provider::start_with(vec![signer.jwk()], Some(acceptor(&new))).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identities = provider.identity("ca_file = \"ca.pem\"");
    let gateway = gateway(
        &folder,
        &format!("endpoint = \"http://{qiniu}\""),
        &identities,
    )
    .await;
    gateway.until_fetch_was("unreachable").await;
    gateway.until_ready_is(503).await;
    folder.publish(&[("ca.pem", &new.pem())]);
    gateway.until_ready_is(200).await;
    let answer = gateway.ask(&signer.token(&provider, "alice")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
