//! Session ids sealed with a known key, for tests that need no session of Qiniu's, or an old one.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use liveness_gateway::{
    secret::Secret,
    session::{SessionKeys, SessionSettings, seal::SealKey, ticket::SessionOwner},
};

use super::ISSUER;

pub(crate) const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const OTHER_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// The section that gives a gateway this key.
pub(crate) const SETTINGS: &str = "[sessions]\nseal_key = { env = \"SEAL\" }\n";

/// Seals `id` of the Qiniu at `upstream` for a user, as it was done `age` ago.
pub(crate) fn sealed(
    key: &str,
    upstream: SocketAddr,
    user: &str,
    id: &str,
    age: Duration,
) -> String {
    let settings = SessionSettings {
        seal_key: Some(SealKey::from_base64(&Secret::new(key)).unwrap()),
        previous_seal_key: None,
    };
    let keys = SessionKeys::new(&settings, &upstream.to_string()).unwrap();
    let sent = SystemTime::now() - age;
    let owner = SessionOwner::new(&keys, ISSUER, user);
    owner.seal(id, sent).unwrap()
}

/// A new sealed id of the user of [`super::Gateway::post`].
pub(crate) fn fresh(upstream: SocketAddr, id: &str) -> String {
    sealed(KEY, upstream, "user-1", id, Duration::ZERO)
}
