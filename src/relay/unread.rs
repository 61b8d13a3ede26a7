//! Uploads over HTTP/2 that nobody reads yet.
//!
//! What arrives of a body before its request reads it is held by h2, up to the window of its
//! stream, and is not reserved in the memory for bodies. Most requests read or refuse their body at
//! once. One that has to wait first, for the keys of its issuer or for the store, counts its window
//! in a budget of its own: any stranger can make such requests. If there is no room, it is refused.
//! Never waits itself.

use std::{future::pending, sync::Arc};

use hyper::{
    Version,
    body::{Body, Incoming},
};

use crate::{instruments::Gauge, memory::MemoryBudget};

/// The flow-control window of an HTTP/2 stream, in bytes: what can arrive before it is read. It
/// allows 40 Mbit/s at a round trip of 200 ms.
pub const UPLOAD_WINDOW: u32 = 1024 * 1024;
/// What all waiting requests may leave unread together, in bytes.
const BUDGET: u64 = 16 * UPLOAD_WINDOW as u64;

/// The budget of unread uploads, which clones share.
#[derive(Clone)]
pub struct UnreadUploads(Arc<MemoryBudget>);

impl Default for UnreadUploads {
    fn default() -> Self {
        Self(MemoryBudget::new(BUDGET, Gauge::default()))
    }
}

impl UnreadUploads {
    /// Resolves if there is no room for `bytes` unread bytes; otherwise holds them until it is
    /// dropped. To be polled once a request has to wait.
    pub(super) async fn exhausted(&self, bytes: u64) {
        let mut permit = self.0.permit();
        if permit.raise_to(bytes) {
            pending::<()>().await;
        }
    }
}

/// The bytes of a body that may arrive before it is read. hyper reads none of HTTP/1.1 by itself.
pub(super) fn unread_bytes(version: Version, body: &Incoming) -> u64 {
    if version < Version::HTTP_2 {
        return 0;
    }
    // h2 ends a stream with more bytes than its head declares.
    let window = u64::from(UPLOAD_WINDOW);
    body.size_hint()
        .upper()
        .map_or(window, |upper| upper.min(window))
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn unread_bytes_are_held_until_the_request_waits_no_longer() {
        let unread = UnreadUploads::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting = Vec::new();
        for _ in 0..16 {
            let mut one = Box::pin(unread.exhausted(UPLOAD_WINDOW.into()));
            assert!(one.as_mut().poll(&mut cx).is_pending());
            waiting.push(one);
        }
        assert!(pin!(unread.exhausted(1)).poll(&mut cx).is_ready());
        assert!(pin!(unread.exhausted(0)).poll(&mut cx).is_pending());
        waiting.pop();
        assert!(
            pin!(unread.exhausted(UPLOAD_WINDOW.into()))
                .poll(&mut cx)
                .is_pending()
        );
        assert_eq!(unread.0.held(), 15 * u64::from(UPLOAD_WINDOW));
        drop(waiting);
        assert_eq!(unread.0.held(), 0);
    }
}
