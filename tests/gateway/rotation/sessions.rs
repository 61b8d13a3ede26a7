//! Seal keys: a session that began before a change of keys is completed after it, also where the
//! old key is no longer configured.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Folder, gateway, identity, until};
use crate::support::{
    Gateway, ISSUER, SESSIONCODE, VERIFY, emulator,
    sealed::{KEY, OTHER_KEY, sealed},
    session, verify_body, video,
};
use liveness_gateway::{
    emulator::{EmulatorHandle, Scenario},
    secret::Secret,
    session::{SessionKeys, SessionSettings, seal::SealKey, ticket::SessionOwner},
};

const THIRD_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

struct Qiniu {
    address: SocketAddr,
    handle: Arc<EmulatorHandle>,
}

async fn start(folder: &Folder, keys: &str) -> (Qiniu, Gateway) {
    let (address, handle) = emulator(Scenario::Pass).await;
    let more = format!("{}[sessions]\n{keys}\n", identity());
    let gateway = gateway(address, folder, "", &more).await;
    (Qiniu { address, handle }, gateway)
}

async fn verify(gateway: &Gateway, id: &str) -> u16 {
    let body = verify_body(id, &video(0));
    gateway.post(false, VERIFY, body).await.status.as_u16()
}

/// Waits until ids sealed with this key are opened.
async fn until_opens(gateway: &Gateway, qiniu: &Qiniu, key: &str) {
    let mut number = 0;
    until("the new key", async || {
        number += 1;
        let id = format!("S-{number}");
        let id = sealed(key, qiniu.address, "user-1", &id, Duration::ZERO);
        verify(gateway, &id).await == 200
    })
    .await;
}

/// Whether an id is opened by this key only.
fn opens(key: &str, qiniu: &Qiniu, id: &str) -> bool {
    let settings = SessionSettings {
        seal_key: Some(SealKey::from_base64(&Secret::new(key)).unwrap()),
        previous_seal_key: None,
    };
    let keys = SessionKeys::new(&settings, &qiniu.address.to_string()).unwrap();
    let owner = SessionOwner::new(&keys, ISSUER, "user-1");
    owner.open(id, std::time::SystemTime::now()).is_ok()
}

#[tokio::test]
async fn a_replaced_seal_key_still_opens_sessions() {
    let folder = Folder::with(&[("seal", KEY)]);
    let (qiniu, gateway) = start(&folder, "seal_key = { file = \"seal\" }").await;
    let (first, second) = (session(&gateway).await, session(&gateway).await);
    assert!(opens(KEY, &qiniu, &first) && !opens(OTHER_KEY, &qiniu, &first));
    assert_eq!(verify(&gateway, &first).await, 200);

    folder.write("seal", OTHER_KEY);
    until_opens(&gateway, &qiniu, OTHER_KEY).await;
    let new = session(&gateway).await;
    assert!(opens(OTHER_KEY, &qiniu, &new) && !opens(KEY, &qiniu, &new));
    // Used sessions stay used, unused ones can be used, and a retry is not a call.
    let before = qiniu.handle.verify_calls();
    assert_eq!(verify(&gateway, &first).await, 200);
    assert_eq!(qiniu.handle.verify_calls(), before);
    for id in [&second, &new] {
        assert_eq!(verify(&gateway, id).await, 200);
        assert_eq!(verify(&gateway, id).await, 200);
    }
    assert_eq!(qiniu.handle.verify_calls(), before + 2);

    folder.write("seal", THIRD_KEY);
    until_opens(&gateway, &qiniu, THIRD_KEY).await;
    let third = sealed(KEY, qiniu.address, "user-1", "S-old", Duration::ZERO);
    assert_eq!(verify(&gateway, &third).await, 200);
}

#[tokio::test]
async fn swapped_seal_keys_lose_no_session() {
    let folder = Folder::with(&[]);
    folder.publish(&[("seal", KEY), ("previous", OTHER_KEY)]);
    let keys = "seal_key = { file = \"seal\" }\nprevious_seal_key = { file = \"previous\" }";
    let (qiniu, gateway) = start(&folder, keys).await;
    folder.publish(&[("seal", OTHER_KEY), ("previous", KEY)]);
    until("ids under the other key", async || {
        let id = session(&gateway).await;
        let new = opens(OTHER_KEY, &qiniu, &id);
        assert!(new || opens(KEY, &qiniu, &id));
        assert_eq!(verify(&gateway, &id).await, 200);
        new
    })
    .await;
    for (number, key) in [KEY, OTHER_KEY].into_iter().enumerate() {
        let id = sealed(
            key,
            qiniu.address,
            "user-1",
            &format!("P{number}"),
            Duration::ZERO,
        );
        assert_eq!(verify(&gateway, &id).await, 200);
    }
}

#[tokio::test]
async fn sessions_work_without_a_failure_while_seal_keys_change() {
    let folder = Folder::with(&[("seal", KEY)]);
    let (qiniu, gateway) = start(&folder, "seal_key = { file = \"seal\" }").await;
    // A session sealed with the earlier key, and used only now.
    let mut before = session(&gateway).await;
    for key in [OTHER_KEY, THIRD_KEY, KEY] {
        folder.rename_over("seal", key);
        let mut ids = Vec::new();
        until("ids under the next key", async || {
            let answer = gateway.post(false, SESSIONCODE, "{}").await;
            assert_eq!(answer.status, 200);
            let id = answer.json()["result"]["session_id"].clone();
            ids.push(id.as_str().unwrap().to_owned());
            assert_eq!(verify(&gateway, &ids[0]).await, 200);
            opens(key, &qiniu, ids.last().unwrap())
        })
        .await;
        assert_eq!(verify(&gateway, &before).await, 200);
        before = session(&gateway).await;
    }
}
