//! A strict emulator of Qiniu's two action-liveness endpoints.
//!
//! It serves development without a Qiniu account, and tests of this gateway or of any other client.
//! It checks signatures, issues sessions that are valid for five minutes and one use, checks the
//! container of each video, and responds with the documented JSON and sample pictures.
//!
//! It relies on two modules of the gateway: [`crate::secret`], so that no key can be printed, and
//! [`crate::media`], which reads the container of a video. Its signature check shares no code with
//! the gateway's signer ([`crate::qiniu::signature`]), so that a mistake in one is found by the
//! other. It never judges a face, never contacts Qiniu, never writes to disk, and never logs.

mod api;
mod authorization;
mod error_code;
mod handle;
mod pictures;
mod responses;
mod scenario;
mod server;
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

use self::{api::EmulatorApi, authorization::EmulatorAccount, server::EmulatorServer};
pub use self::{
    handle::EmulatorHandle,
    scenario::{Scenario, UnknownScenario},
};
use crate::secret::Secret;

/// Maximum number of open connections; further ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 256;
/// Time limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept, which otherwise would spin while no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Settings of an emulator.
pub struct EmulatorSettings {
    /// Address to listen on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Access key of the only account.
    pub access_key: Secret,
    /// Secret key of the same account.
    pub secret_key: Secret,
    /// Outcome of verifies whose session and video are valid, until
    /// [`EmulatorHandle::set_scenario`] changes it.
    pub scenario: Scenario,
    /// Delay of each response of the API. Rejections below the API are not delayed.
    pub latency: Duration,
}

/// A bound emulator. The listener queues connections until [`Emulator::run`] serves them.
pub struct Emulator {
    listener: TcpListener,
    address: SocketAddr,
    server: Arc<EmulatorServer>,
}

impl Emulator {
    /// Binds the listener and encodes the sample pictures.
    ///
    /// # Errors
    /// The address can't be bound.
    pub async fn bind(settings: EmulatorSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let server = EmulatorServer {
            account: EmulatorAccount {
                access_key: settings.access_key,
                secret_key: settings.secret_key,
            },
            api: EmulatorApi::new(),
            handle: Arc::new(EmulatorHandle::new(settings.scenario)),
            latency: settings.latency,
        };
        Ok(Self {
            listener,
            address,
            server: Arc::new(server),
        })
    }

    /// The bound address, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that observes the emulator and changes its scenario and clock.
    pub fn handle(&self) -> Arc<EmulatorHandle> {
        Arc::clone(&self.server.handle)
    }

    /// Serves until `stop` resolves, then drops every connection at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = &mut stop => return,
                accepted = accepted => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let connection = serve(stream, Arc::clone(&self.server));
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Serves one connection until either side closes it. Errors of the connection are ignored.
async fn serve(stream: TcpStream, server: Arc<EmulatorServer>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.serve(request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
