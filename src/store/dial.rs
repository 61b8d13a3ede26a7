//! Opens connections to the servers of one store, each within a timeout and logged in.
//!
//! Every server is reached like the URL's own: with the same TLS, or none. A server that another
//! one has announced must not be on a network without TLS either, unless that is allowed.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::time::timeout;

use super::{
    address::{StoreAddress, StoreLogin},
    error::StoreError,
    script::ScriptReply,
    wire::StoreConnection,
};
use crate::outbound::{connection::ClientTls, dial::Dialer, origin::Origin};

/// Timeout for TCP, TLS and login at one of several servers, or for its reply; no request waits for
/// it. Short: the next server may be the one.
pub(super) const NODE_TIMEOUT: Duration = Duration::from_secs(1);
/// The same if there is no other server.
const ONLY_SERVER_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens connections to the servers of one store.
#[derive(Clone)]
pub(super) struct StoreDialer {
    pub(super) address: Arc<StoreAddress>,
    dialer: Dialer,
}

impl StoreDialer {
    pub(super) fn new(address: Arc<StoreAddress>, dialer: Dialer) -> Self {
        Self { address, dialer }
    }

    /// Connects to one of several servers, with the URL's login.
    pub(super) async fn open(&self, server: &Origin) -> Result<StoreConnection, StoreError> {
        self.open_as(server, &self.address.login, NODE_TIMEOUT)
            .await
    }

    /// Connects to a server that is the only one.
    pub(super) async fn open_only(&self, server: &Origin) -> Result<StoreConnection, StoreError> {
        self.open_as(server, &self.address.login, ONLY_SERVER_TIMEOUT)
            .await
    }

    /// Connects to a socket of this machine.
    pub(super) async fn open_socket(&self, path: &Path) -> Result<StoreConnection, StoreError> {
        let opening = StoreConnection::over_socket(path, &self.address.login);
        within(ONLY_SERVER_TIMEOUT, opening).await
    }

    /// Connects to a server with this login.
    pub(super) async fn open_as(
        &self,
        server: &Origin,
        login: &StoreLogin,
        limit: Duration,
    ) -> Result<StoreConnection, StoreError> {
        if !self.address.may_reach(server) {
            return Err(StoreError::Plaintext);
        }
        let opening = async {
            let tls = self.address.tls.as_ref().map(without_alpn);
            let stream = self.dialer.open(server, tls, limit).await;
            let stream = stream.map_err(|error| StoreError::of_opening(&error))?;
            StoreConnection::over(stream, server, login).await
        };
        within(limit, opening).await
    }
}

/// Without HTTP's ALPN protocols, which a Redis behind a TLS proxy can't choose.
fn without_alpn(tls: &ClientTls) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&tls.current());
    config.alpn_protocols.clear();
    Arc::new(config)
}

/// The reply of one of several servers to a command.
pub(super) async fn ask(
    connection: &StoreConnection,
    words: &[&str],
) -> Result<ScriptReply, StoreError> {
    within(NODE_TIMEOUT, connection.command(words)).await
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::Timeout;
    timeout(limit, work).await.map_err(late)?
}

#[cfg(test)]
#[cfg(feature = "redis")]
mod tests {
    use super::*;
    use crate::{outbound::connection::client_config, secret::Secret, store::address::announced};

    #[tokio::test]
    async fn no_server_on_a_network_is_reached_without_tls_because_another_one_announced_it() {
        let url = Secret::new("redis+sentinel://127.0.0.1/main");
        let tls = ClientTls::new(client_config(None).unwrap());
        let address = StoreAddress::parse(&url, &tls, false).unwrap();
        let dialer = StoreDialer::new(Arc::new(address), Dialer::default());
        let server = announced("192.0.2.1", 6379, false).unwrap();
        let refused = dialer.open(&server).await.err();
        assert_eq!(refused, Some(StoreError::Plaintext));
    }
}
