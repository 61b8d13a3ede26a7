//! Finds the primary of a store, whichever way the store's URL names it, and notices when another
//! server takes over.
//!
//! Each server found has taken a heartbeat ([`super::heartbeat`]), so it is a primary that is ready
//! for calls. What is remembered between two searches belongs to one URL.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    address::{StoreAddress, StoreServers},
    cluster::{ClusterMap, Redirect},
    dial::StoreDialer,
    error::StoreError,
    heartbeat::Probe,
    route::{ProbedRoute, RouteChange, StoreRoute},
    sentinel::SentinelGroup,
    wire::StoreConnection,
};
use crate::outbound::dial::Dialer;

/// Finds the primary of one store.
pub(super) struct PrimaryFinder {
    /// The URL that it finds the primary by.
    pub(super) address: Arc<StoreAddress>,
    way: Way,
}

enum Way {
    /// Whatever the URL leads to.
    Direct(StoreDialer),
    Sentinels(SentinelGroup),
    Cluster(ClusterMap),
}

impl PrimaryFinder {
    /// `slot` is that of all keys. Sentinels are asked at this `interval`.
    pub(super) fn new(
        address: Arc<StoreAddress>,
        dialer: Dialer,
        slot: u16,
        interval: Duration,
    ) -> Self {
        let dialer = StoreDialer::new(Arc::clone(&address), dialer);
        let way = match &address.servers {
            StoreServers::Unix(_) | StoreServers::One(_) => Way::Direct(dialer),
            StoreServers::Sentinels(service) => {
                Way::Sentinels(SentinelGroup::new(dialer, service.clone(), interval))
            }
            StoreServers::Cluster(nodes) => {
                Way::Cluster(ClusterMap::new(dialer, nodes.clone(), slot))
            }
        };
        Self { address, way }
    }

    /// Whether the primary's redirects are followed.
    pub(super) fn follows_redirects(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }

    /// Connects to the primary.
    pub(super) async fn find(&mut self, probe: &Probe<'_>) -> Result<ProbedRoute, StoreError> {
        match &mut self.way {
            Way::Direct(dialer) => {
                let route = StoreRoute::to(open_direct(dialer).await?);
                let epoch = probe.run(&route).await?;
                Ok(ProbedRoute { route, epoch })
            }
            Way::Sentinels(sentinels) => sentinels.find(probe).await,
            Way::Cluster(nodes) => nodes.find(probe).await,
        }
    }

    /// Waits until another server takes over from the primary, or begins to.
    pub(super) async fn changed(
        &mut self,
        route: &StoreRoute,
        redirects: &mut watch::Receiver<Option<Redirect>>,
        probe: &Probe<'_>,
    ) -> Result<RouteChange, StoreError> {
        match (&mut self.way, route.primary.server()) {
            (Way::Sentinels(sentinels), Some(current)) => Ok(RouteChange::Replaced(
                sentinels.replaced(current, probe).await,
            )),
            (Way::Cluster(nodes), _) => nodes.changed(route, redirects, probe).await,
            _ => std::future::pending().await,
        }
    }
}

async fn open_direct(dialer: &StoreDialer) -> Result<StoreConnection, StoreError> {
    match &dialer.address.servers {
        StoreServers::One(server) => dialer.open_only(server).await,
        StoreServers::Unix(path) => dialer.open_socket(path).await,
        // Found by other ways.
        StoreServers::Sentinels(_) | StoreServers::Cluster(_) => Err(StoreError::NoOwner),
    }
}
