//! What the public listener does with its connections, by the configuration of the moment.
//!
//! A connection is opened by the rules that hold when it is accepted, and each of its requests by
//! those that hold when it arrives, so a reload closes no connection. Limits of the
//! [table](super::table) change at once. Never closes a connection with a request in flight.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};

use super::{
    HeadResponder, STRANGER_GRACE, ServerSettings,
    activity::ConnectionTimeouts,
    peer::PeerRules,
    table::{ConnectionTable, HEAD_BUDGET},
    tls::ServerTls,
};

/// The rules in use, which a reload replaces, and the connections that they hold for.
pub struct ServerRules {
    current: ArcSwap<ConnectionRules>,
    pub(super) table: Arc<ConnectionTable>,
}

/// The rules of one configuration.
pub struct ConnectionRules {
    pub(super) tls: Option<ServerTls>,
    pub(super) peers: PeerRules,
    /// Time limit of the first head, and of all that comes before it.
    pub(super) head_timeout: Duration,
    /// Interval and timeout of HTTP/2 pings.
    pub(super) http2_ping: Duration,
    pub(super) max_head_bytes: usize,
    pub(super) head_responder: HeadResponder,
    /// How long connections are still accepted after a signal to stop.
    pub(super) lame_duck: Duration,
    /// Time that requests in flight have to finish when the gateway stops, after that.
    pub(super) drain_timeout: Duration,
}

impl ServerRules {
    /// The first rules. `head_responder` responds to heads that never become a request.
    pub fn new(settings: &ServerSettings, head_responder: HeadResponder) -> Arc<Self> {
        let (limit, timeouts) = (settings.max_connections, timeouts(settings));
        Arc::new(Self {
            current: ArcSwap::from_pointee(ConnectionRules::new(settings, head_responder)),
            table: ConnectionTable::new(limit, HEAD_BUDGET, timeouts),
        })
    }

    /// Replaces the rules. Where more connections are open than there may be now, idle ones are
    /// closed, and the others as they end.
    pub fn replace(&self, settings: &ServerSettings, head_responder: HeadResponder) {
        let rules = ConnectionRules::new(settings, head_responder);
        self.current.store(Arc::new(rules));
        self.table
            .change(settings.max_connections, timeouts(settings));
    }

    /// The rules of this moment.
    pub(super) fn current(&self) -> Guard<Arc<ConnectionRules>> {
        self.current.load()
    }
}

impl ConnectionRules {
    fn new(settings: &ServerSettings, head_responder: HeadResponder) -> Self {
        Self {
            tls: settings.tls.clone(),
            peers: PeerRules::new(settings),
            head_timeout: settings.head_timeout,
            http2_ping: settings.http2_ping,
            max_head_bytes: settings.max_head_bytes,
            head_responder,
            lame_duck: settings.lame_duck,
            drain_timeout: settings.drain_timeout,
        }
    }
}

fn timeouts(settings: &ServerSettings) -> ConnectionTimeouts {
    ConnectionTimeouts {
        head: settings.head_timeout,
        idle: settings.idle_timeout,
        grace: STRANGER_GRACE,
    }
}
