//! A request in flight, as the connection sees it.
//!
//! While a [`RequestGuard`] exists, no time limit of the connection passes, and the connection is
//! not evicted. Never looks at the request.

use std::sync::Arc;

use tokio::time::Instant;

use super::{ConnectionActivity, HttpVersion};
use crate::{instruments::GaugeGuard, telemetry::metrics::Metrics};

/// A request in flight, from its head until hyper has taken the last byte of its response.
pub(in crate::server) struct RequestGuard {
    /// `None` once the idle timeout of the connection runs again.
    activity: Option<Arc<ConnectionActivity>>,
    /// Counts the request for as long as this exists.
    counted: Option<GaugeGuard>,
}

impl RequestGuard {
    /// A request of the public listener.
    pub(in crate::server) fn new(activity: &Arc<ConnectionActivity>, metrics: &Metrics) -> Self {
        let mut guard = Self::uncounted(activity);
        guard.counted = Some(GaugeGuard::new(&metrics.requests_in_flight));
        guard
    }

    /// A request that no metric counts.
    pub(in crate::server) fn uncounted(activity: &Arc<ConnectionActivity>) -> Self {
        let mut state = activity.state();
        state.in_flight = state.in_flight.saturating_add(1);
        state.any_request = true;
        state.responding = true;
        state.head_started = None;
        // A request that comes first is served.
        state.evicted = false;
        let counted = std::mem::take(&mut state.head_counted);
        drop(state);
        activity.heads.release(counted);
        Self {
            activity: Some(Arc::clone(activity)),
            counted: None,
        }
    }

    /// Reports that the response is ready. hyper takes an HTTP/1.1 response at once. Over HTTP/2 it
    /// may wait for the peer's flow-control window, so the idle timeout runs from now on.
    pub(in crate::server) fn response_ready(&mut self) {
        if self
            .activity
            .as_ref()
            .is_some_and(|activity| activity.is(HttpVersion::Http2))
        {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let Some(activity) = self.activity.take() else {
            return;
        };
        let now = Instant::now();
        let mut state = activity.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        // The next head may have begun behind this request.
        state.head_started = (state.head_bytes > 0).then_some(now);
        state.idle_since = now;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.finish();
    }
}
