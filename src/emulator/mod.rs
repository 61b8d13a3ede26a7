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
pub(crate) mod listener;
mod pictures;
mod responses;
mod scenario;
mod server;
mod sessions;
mod video;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;

use self::{
    api::EmulatorApi,
    authorization::{EmulatorAccount, EmulatorKeys},
    server::EmulatorServer,
};
pub use self::{
    handle::EmulatorHandle,
    scenario::{Scenario, UnknownScenario},
};
use crate::secret::Secret;

/// Settings of an emulator.
pub struct EmulatorSettings {
    /// Address to listen on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Access key of the only account.
    pub access_key: Secret,
    /// Secret key of the same account.
    pub secret_key: Secret,
    /// A second access key and its secret key, as an account has while its keys are changed.
    pub second_keys: Option<(Secret, Secret)>,
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
        let first = (settings.access_key, settings.secret_key);
        let pairs = [first].into_iter().chain(settings.second_keys);
        let keys = pairs.map(|(access_key, secret_key)| EmulatorKeys {
            access_key,
            secret_key,
        });
        let server = EmulatorServer {
            account: EmulatorAccount {
                keys: keys.collect(),
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
        let server = self.server;
        let respond = move |request| {
            let server = Arc::clone(&server);
            async move { server.serve(request).await }
        };
        listener::serve(self.listener, respond, stop).await;
    }
}
