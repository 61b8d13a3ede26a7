//! How soon replicas notice what becomes of the store and of each other, and how long they wait for
//! it.
//!
//! Not configurable: the times depend on each other, and replicas must agree on them. A replica
//! notices another primary within a heartbeat, connects within a pause, and publishes what it
//! knows. All of that has to fit into the time in which a primary settles, and several times into
//! the life of a heartbeat.

use std::time::Duration;

/// The times of one store. The default is what replicas agree on; tests wait less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorePace {
    /// Between two heartbeats, and between two looks at who the primary is. Short, so that a
    /// replica that needs no store for the moment notices early that another server has taken over.
    pub heartbeat: Duration,
    /// How long a replica without a new heartbeat counts as alive.
    pub lifetime: Duration,
    /// The longest pause between two tries to reach a store that was lost.
    pub longest_pause: Duration,
    /// How long after a store lost data, or another server took over, no session is granted that it
    /// does not know: replicas come back to it and publish their state.
    pub settling: Duration,
    /// How soon most stores that are lost are back.
    pub recovery: Duration,
    /// The same of a store in which another server takes over: its death has to be noticed first.
    pub failover: Duration,
}

impl Default for StorePace {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            lifetime: Duration::from_secs(10),
            longest_pause: Duration::from_secs(1),
            settling: Duration::from_secs(3),
            recovery: Duration::from_secs(3),
            failover: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_notice_another_primary_and_publish_before_it_has_settled() {
        let pace = StorePace::default();
        assert!(pace.settling > pace.heartbeat + pace.longest_pause);
        assert!(pace.lifetime > 2 * pace.settling);
        assert!(pace.recovery >= pace.settling && pace.failover > pace.recovery);
    }
}
