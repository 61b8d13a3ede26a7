//! Secrets that change while replicas share a store: no valid request is rejected, and no session
//! is sent twice.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use liveness_gateway::{
    emulator::{EmulatorHandle, Scenario},
    secret::Secret,
    session::{SessionKeys, SessionSettings, seal::SealKey, ticket::SessionOwner},
};

use super::{rotating, traffic::Traffic, until};
use crate::support::{
    Answer, Gateway, ISSUER, VERIFY, emulator,
    folder::Folder,
    quota::with_quota,
    redis::{self, Redis},
    routes,
    sealed::{self, KEY, OTHER_KEY},
    session, verify_body, video,
};

const USER: &str = "user=gateway";

/// A Redis that accepts `gateway` with this password, and allows only what docs/store.md lists.
async fn guarded(password: &str) -> Redis {
    let redis = Redis::start().await;
    let password = format!(">{password}");
    let mut words = vec!["ACL", "SETUSER", "gateway", "on", &password];
    let least =
        "~{liveness-gateway}:* +eval +evalsha +get +set +hmget +hset +exists +pexpire +time +info";
    words.extend(least.split(' '));
    assert_eq!(redis.ask(&words).await, [b"OK"]);
    redis
}

fn url(redis: &Redis, password: &str) -> String {
    format!("redis://gateway:{password}@127.0.0.1:{}", redis.port)
}

/// Two replicas that read the store's URL from the file.
async fn two(upstream: SocketAddr, folder: &Folder) -> [Arc<Gateway>; 2] {
    let routes = with_quota("100000/day");
    [
        rotating(upstream, folder, sealed::SETTINGS, &routes).await,
        rotating(upstream, folder, sealed::SETTINGS, &routes).await,
    ]
    .map(Arc::new)
}

/// Waits until both replicas are logged in to this store and use it.
async fn both_use(redis: &Redis, both: &[Arc<Gateway>; 2]) {
    let mut said = String::new();
    for _ in 0..4000 {
        said = String::from_utf8(redis.ask(&["CLIENT", "LIST"]).await.concat()).unwrap();
        if said.matches(USER).count() == 2 {
            for gateway in both {
                until(gateway, "store_up 1").await;
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {said}");
}

async fn verify(gateway: &Gateway, id: &str) -> Answer {
    gateway
        .post(false, VERIFY, verify_body(id, &video(0)))
        .await
}

/// Asserts that a session verified on one replica is known to the other.
async fn they_share(both: &[Arc<Gateway>; 2], handle: &EmulatorHandle) {
    let (id, before) = (session(&both[0]).await, handle.verify_calls());
    let first = verify(&both[0], &id).await;
    assert_eq!(verify(&both[1], &id).await.body, first.body);
    assert_eq!(handle.verify_calls(), before + 1);
}

#[tokio::test]
async fn no_request_is_rejected_while_the_store_s_password_changes() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = guarded("first").await;
    let folder = Folder::with(&[("redis", &url(&redis, "first"))]);
    let both = two(qiniu, &folder).await;
    let traffic = Traffic::over(&both);
    for [old, new] in [["first", "second"], ["second", "third"]] {
        let (comes, goes) = (format!(">{new}"), format!("<{old}"));
        redis.ask(&["ACL", "SETUSER", "gateway", &comes]).await;
        folder.write("redis", &url(&redis, new));
        // A replica that has not read the new password yet loses the store until it does.
        redis.ask(&["ACL", "SETUSER", "gateway", &goes]).await;
        redis.ask(&["CLIENT", "KILL", "USER", "gateway"]).await;
        both_use(&redis, &both).await;
    }
    traffic.ended_well().await;
    they_share(&both, &handle).await;
}

#[tokio::test]
async fn replicas_that_move_to_another_store_publish_their_state_there() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let mut old = guarded("first").await;
    let new = guarded("second").await;
    let folder = Folder::with(&[("redis", &url(&old, "first"))]);
    let both = two(qiniu, &folder).await;
    let id = session(&both[0]).await;
    let first = verify(&both[0], &id).await;
    let traffic = Traffic::over(&both);
    folder.rename_over("redis", &url(&new, "second"));
    old.kill();
    both_use(&new, &both).await;
    traffic.ended_well().await;
    let before = handle.verify_calls();
    assert_eq!(verify(&both[1], &id).await.body, first.body);
    assert_eq!(handle.verify_calls(), before);
    they_share(&both, &handle).await;
}

/// Whether this key opens the id.
fn opens(key: &str, upstream: SocketAddr, id: &str) -> bool {
    let settings = SessionSettings {
        seal_key: Some(SealKey::from_base64(&Secret::new(key)).unwrap()),
        previous_seal_key: None,
    };
    let keys = SessionKeys::new(&settings, &upstream.to_string()).unwrap();
    let owner = SessionOwner::new(&keys, ISSUER, "user-1");
    owner.open(id, std::time::SystemTime::now()).is_ok()
}

async fn until_sealed_with(key: &str, upstream: SocketAddr, gateway: &Gateway) {
    for _ in 0..4000 {
        if opens(key, upstream, &session(gateway).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never");
}

#[tokio::test]
async fn a_session_of_the_old_seal_key_is_verified_once_on_any_replica_after_the_change() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let keys = "[sessions]\nseal_key = FILE(seal)\nprevious_seal_key = FILE(previous)\n";
    let folders = [(); 2].map(|()| {
        let folder = Folder::with(&[("redis", &redis.url())]);
        folder.publish(&[("seal", KEY), ("previous", OTHER_KEY)]);
        folder
    });
    let [one, other] = [
        rotating(qiniu, &folders[0], keys, &routes()).await,
        rotating(qiniu, &folders[1], keys, &routes()).await,
    ];
    let mut calls = 0;
    let mut once = async |id: &str, tries: [&Gateway; 3]| {
        calls += 1;
        let first = verify(tries[0], id).await;
        assert_eq!(first.json()["result"]["action_verify"], "pass", "{first:?}");
        for gateway in tries {
            assert_eq!(verify(gateway, id).await.body, first.body);
        }
        assert_eq!(handle.verify_calls(), calls);
    };
    let (unused, half, used) = (
        session(&one).await,
        session(&one).await,
        session(&one).await,
    );
    once(&used, [&one, &other, &one]).await;
    // One replica has the new key, the other does not.
    folders[0].publish(&[("seal", OTHER_KEY), ("previous", KEY)]);
    until_sealed_with(OTHER_KEY, qiniu, &one).await;
    once(&half, [&other, &one, &other]).await;
    let early = session(&one).await;
    assert!(opens(OTHER_KEY, qiniu, &early));
    once(&early, [&other, &one, &other]).await;
    folders[1].publish(&[("seal", OTHER_KEY), ("previous", KEY)]);
    until_sealed_with(OTHER_KEY, qiniu, &other).await;
    once(&unused, [&other, &one, &other]).await;
    for id in [&used, &half, &early] {
        for gateway in [&one, &other] {
            assert_eq!(verify(gateway, id).await.status, 200);
        }
    }
    assert_eq!(handle.verify_calls(), 4);
}
