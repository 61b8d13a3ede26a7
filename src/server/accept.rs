//! Takes connections while there is room for them, and lets them finish when the gateway stops.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    AdminSettings, Readiness, ServerSettings, admin,
    connection::{Phase, Shared},
};
use crate::{
    relay::handle::Gateway,
    telemetry::{InFlight, Observer},
};

/// A pause after a failed accept (no file descriptors, say), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listeners, bound.
pub struct Server {
    public: Vec<TcpListener>,
    admin: TcpListener,
    public_addresses: Vec<SocketAddr>,
    admin_address: SocketAddr,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Connections that did not finish in time.
    pub cut: usize,
}

impl Server {
    /// Binds all addresses.
    ///
    /// # Errors
    /// Names the address that can't be listened on.
    pub async fn bind(settings: &ServerSettings, admin: &AdminSettings) -> io::Result<Self> {
        let mut public = Vec::new();
        for &address in &settings.listen {
            public.push(bind(address).await?);
        }
        let admin = bind(admin.listen).await?;
        Ok(Self {
            public_addresses: public
                .iter()
                .map(TcpListener::local_addr)
                .collect::<Result<_, _>>()?,
            admin_address: admin.local_addr()?,
            public,
            admin,
        })
    }

    /// The public addresses, as bound.
    pub fn public_addresses(&self) -> Vec<SocketAddr> {
        self.public_addresses.clone()
    }

    /// The admin address, as bound.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `stop`. Then no connection is taken any more, and those there are get the drain time to finish.
    pub async fn run(
        self,
        settings: &ServerSettings,
        gateway: Arc<Gateway>,
        observer: Arc<Observer>,
        readiness: Arc<Readiness>,
        stop: impl Future<Output = ()>,
    ) -> DrainOutcome {
        let (tell, phase) = watch::channel(Phase::Serving);
        let places = Arc::new(Semaphore::new(
            settings.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        let shared = Arc::new(Shared {
            gateway,
            tls: settings.tls.clone().map(TlsAcceptor::from),
            head_timeout: settings.head_timeout,
            idle_timeout: settings.idle_timeout,
            max_head_bytes: settings.max_head_bytes,
            phase,
        });
        let mut accepting = tokio::task::JoinSet::new();
        for listener in self.public {
            accepting.spawn(accept(
                listener,
                Arc::clone(&shared),
                Arc::clone(&places),
                Arc::clone(&observer),
            ));
        }
        let admin = tokio::spawn(admin::serve(self.admin, observer, Arc::clone(&readiness)));

        stop.await;

        readiness.drain();
        tracing::info!(limit = ?settings.drain_timeout, "stopping: requests under way may finish");
        accepting.shutdown().await;
        let _ = tell.send(Phase::Draining);
        let all = u32::try_from(settings.max_connections).unwrap_or(u32::MAX);
        let cut = match timeout(settings.drain_timeout, places.acquire_many(all)).await {
            Ok(_) => 0,
            Err(_) => settings
                .max_connections
                .saturating_sub(places.available_permits()),
        };
        let _ = tell.send(Phase::Cut);
        admin.abort();
        DrainOutcome { cut }
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    observer: Arc<Observer>,
) {
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (shared, connected) = (
                    Arc::clone(&shared),
                    InFlight::enter(&observer.metrics.connections),
                );
                tokio::spawn(async move {
                    shared.serve(stream, peer).await;
                    drop((place, connected));
                });
            }
            Err(error) => {
                tracing::warn!("a connection can't be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
