//! Ids of traces and spans: keyed hashes of a counter, which cost a fraction of the system's random
//! bytes. Never an id of zeros.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::telemetry::trace_context::{SpanId, TraceId};

/// The source of ids of one process.
#[derive(Default)]
pub(super) struct TraceIds {
    keys: [RandomState; 2],
    counter: AtomicU64,
}

impl TraceIds {
    /// A trace id, and its low 64 bits.
    pub(super) fn trace(&self) -> (TraceId, u64) {
        loop {
            let number = self.next();
            let [high, low] = [&self.keys[0], &self.keys[1]].map(|keys| keys.hash_one(number));
            let id = u128::from(high) << 64 | u128::from(low);
            if let Some(id) = TraceId::new(id.to_be_bytes()) {
                return (id, low);
            }
        }
    }

    /// A span id.
    pub(super) fn span(&self) -> SpanId {
        loop {
            let number = self.next();
            let id = self.keys[0].hash_one(number);
            if let Some(id) = SpanId::new(id.to_be_bytes()) {
                return id;
            }
        }
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }
}
