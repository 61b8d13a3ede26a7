//! The keys of tokens: new keys are used soon, and the tokens of a removed key are rejected, tokens
//! in the cache included.

use serde_json::json;

use super::{Folder, gateway, until};
use crate::support::{Gateway, ISSUER, UNBOUND, emulator, identity::Signer, token_with};
use liveness_gateway::emulator::Scenario;

const OLD: &str = "an old secret of the tests, long enough for HMAC";
const NEW: &str = "a new secret of the tests, long enough for HMAC";

async fn start(folder: &Folder, keys: &str) -> Gateway {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identity =
        format!("[[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\n{keys}\n{UNBOUND}");
    gateway(qiniu, folder, "", &identity).await
}

/// A token of `user-1`, signed with this secret.
pub(super) fn secret_token(secret: &str) -> String {
    token_with(secret, |_| {})
}

fn token(signer: &Signer) -> String {
    signer.token_as(signer.id, ISSUER, "user-1")
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.ask(token).await.status.as_u16()
}

/// The new token is accepted in the end. From that moment on the old token, which was verified
/// before, is not.
async fn changes(gateway: &Gateway, old: &str, new: &str, change: impl FnOnce()) {
    assert_eq!(status(gateway, old).await, 200);
    assert_eq!(status(gateway, old).await, 200);
    assert_eq!(status(gateway, new).await, 401);
    change();
    until("the new key", async || status(gateway, new).await == 200).await;
    assert_eq!(status(gateway, old).await, 401);
}

#[tokio::test]
async fn a_replaced_shared_secret_rejects_old_tokens() {
    let folder = Folder::with(&[("secret", OLD)]);
    let gateway = start(&folder, "secret = { file = \"secret\" }").await;
    let (old, new) = (secret_token(OLD), secret_token(NEW));
    changes(&gateway, &old, &new, || folder.write("secret", NEW)).await;
    changes(&gateway, &new, &old, || folder.rename_over("secret", OLD)).await;
}

#[tokio::test]
async fn a_replaced_public_key_rejects_old_tokens() {
    let signers = [Signer::nameless(), Signer::nameless()];
    let [old, new] = &signers;
    let folder = Folder::with(&[]);
    folder.publish(&[("key.pem", &old.public_pem())]);
    let gateway = start(&folder, "public_key_file = \"key.pem\"").await;
    changes(&gateway, &token(old), &token(new), || {
        folder.publish(&[("key.pem", &new.public_pem())]);
    })
    .await;
}

#[tokio::test]
async fn a_replaced_key_set_rejects_tokens_of_removed_keys_only() {
    let signers = ["a", "b", "c"].map(Signer::new);
    let [stays, goes, comes] = &signers;
    let set = |keys: &[&Signer]| {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys }).to_string()
    };
    let folder = Folder::with(&[("keys.json", &set(&[stays, goes]))]);
    let keys = "jwks_file = \"keys.json\"\nalgorithms = \"ES256\"";
    let gateway = start(&folder, keys).await;
    let steady = token(stays);
    changes(&gateway, &token(goes), &token(comes), || {
        folder.rename_over("keys.json", &set(&[comes, stays]));
    })
    .await;
    assert_eq!(status(&gateway, &steady).await, 200);
}

#[tokio::test]
async fn no_token_is_rejected_while_keys_change_in_two_steps() {
    let signers = ["a", "b"].map(Signer::new);
    let [old, new] = &signers;
    let set = |keys: &[&Signer]| {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys }).to_string()
    };
    let folder = Folder::with(&[("keys.json", &set(&[old]))]);
    let gateway = start(&folder, "jwks_file = \"keys.json\"").await;
    folder.rename_over("keys.json", &set(&[old, new]));
    until("the new key beside the old one", async || {
        // A new token of the old key each time, so that no cache knows it.
        assert_eq!(status(&gateway, &token(old)).await, 200);
        status(&gateway, &token(new)).await == 200
    })
    .await;
    folder.rename_over("keys.json", &set(&[new]));
    until("the end of the old key", async || {
        assert_eq!(status(&gateway, &token(new)).await, 200);
        status(&gateway, &token(old)).await == 401
    })
    .await;
}
