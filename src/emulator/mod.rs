//! An embedded stand-in for Qiniu's two endpoints, as strict as their description allows.
//!
//! For development without an account and for tests of this gateway or of any other client. It
//! checks signatures with code of its own, hands out sessions that die after one use or five
//! minutes, looks into the video's container, and answers in Qiniu's words with drawn pictures.
//! It relies on nothing of the gateway but the type for secrets. It never judges a face, never
//! contacts Qiniu, never writes to disk, and never logs.

mod api;
mod authorization;
mod codes;
mod exchange;
mod jpeg;
mod ledger;
mod mint;
mod scenario;
mod sessions;
mod video;

use std::{
    convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use self::{api::Desk, authorization::Account, exchange::Shop};
pub use self::{
    ledger::Ledger,
    scenario::{Scenario, UnknownScenario},
};
use crate::secret::Secret;

/// Connections at once; further ones wait in the listener's queue.
const MOST_CONNECTIONS: usize = 256;
/// Time for a request's head.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// A pause after a failed accept (no free file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How an emulator is set up.
pub struct EmulatorSettings {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The access key of the one account there is.
    pub access_key: Secret,
    /// Its secret key.
    pub secret_key: Secret,
    /// What good verifies are answered, until [`Ledger::set_scenario`].
    pub scenario: Scenario,
    /// How long each answer of the API is held back; refusals are not.
    pub latency: Duration,
}

/// A bound emulator. Connections queue up from now on and are served by [`Emulator::run`].
pub struct Emulator {
    listener: TcpListener,
    address: SocketAddr,
    shop: Arc<Shop>,
}

impl Emulator {
    /// Takes the port and draws the pictures.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(settings: EmulatorSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let shop = Shop {
            account: Account {
                access_key: settings.access_key,
                secret_key: settings.secret_key,
            },
            desk: Desk::open(),
            ledger: Arc::new(Ledger::new(settings.scenario)),
            latency: settings.latency,
        };
        Ok(Self {
            listener,
            address,
            shop: Arc::new(shop),
        })
    }

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw and will see; also the handle to change its answers.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.shop.ledger)
    }

    /// Serves until `stop` resolves, then drops every connection at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = &mut stop => return,
                accepted = accepted => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let connection = serve(stream, Arc::clone(&self.shop));
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Serves one connection until either side ends it; how it ended interests nobody.
async fn serve(stream: TcpStream, shop: Arc<Shop>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let shop = Arc::clone(&shop);
        async move { Ok::<_, Infallible>(shop.serve(request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
