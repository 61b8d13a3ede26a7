//! The only file that knows the `redis` crate: an address, a connection to it, a script run over it.
//!
//! TCP and TLS are opened as towards everybody else ([`crate::outbound`]), so that the same certificates are trusted; the crate's
//! part is the protocol, and sharing one connection among all requests. Errors of the crate may hold an address or what the
//! store said: they end here, as a [`StoreError`].

use std::{io, path::PathBuf, sync::Arc};

use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use rustls::ClientConfig;
use tokio::{net::UnixStream, sync::watch, task::AbortHandle};

use super::{
    StoreKey,
    fault::StoreError,
    script::{Reply, Script},
};
use crate::{
    outbound::{
        connection::{self, ClientTls},
        origin::Origin,
    },
    secret::Secret,
};

/// Where the store is, and how to log in. It can't be printed.
#[derive(Clone)]
pub struct Address {
    place: Place,
    login: RedisConnectionInfo,
}

#[derive(Clone)]
enum Place {
    Tcp(Origin, Option<ClientTls>),
    Unix(PathBuf),
}

/// A connection that all requests share. When the last clone goes, it closes.
#[derive(Clone)]
pub(super) struct Connection {
    shared: MultiplexedConnection,
    driver: Arc<Driver>,
}

/// Ends the task that reads and writes.
struct Driver {
    task: AbortHandle,
    over: watch::Receiver<()>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Address {
    /// Reads `redis://`, `rediss://` (TLS, with `tls`), the same of Valkey's, or `unix://`.
    ///
    /// # Errors
    /// What is wrong, as a clause for a person, without any part of it.
    pub fn parse(text: &Secret, tls: &ClientTls) -> Result<Self, &'static str> {
        const WRONG: &str = "is not the URL of a Redis";
        let text = str::from_utf8(text.reveal()).map_err(|_| WRONG)?;
        let mut url = redis::parse_redis_url(text).ok_or(WRONG)?;
        if url.fragment().is_some() || url.query().is_some() {
            return Err("has a `?` or `#` part, which is not supported");
        }
        let encrypted = match url.scheme() {
            "rediss" | "valkeys" => {
                url.set_scheme("redis").map_err(|()| WRONG)?;
                true
            }
            _ => false,
        };
        let info = url.into_connection_info().map_err(|_| WRONG)?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) if !host.is_empty() => {
                let origin = Origin {
                    tls: encrypted,
                    host: host.clone(),
                    port: *port,
                    authority: String::new(),
                };
                Place::Tcp(origin, encrypted.then(|| tls.clone()))
            }
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => return Err(WRONG),
        };
        // Its name for itself would need a permission more.
        let login = info.redis_settings().clone().set_skip_set_lib_name();
        Ok(Self { place, login })
    }
}

/// HTTP's protocols are none that a Redis behind a TLS proxy could choose.
fn without_alpn(tls: &ClientTls) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&tls.current());
    config.alpn_protocols.clear();
    Arc::new(config)
}

impl Connection {
    /// Connects and logs in. Has no time limit of its own.
    pub(super) async fn open(address: &Address) -> Result<Self, StoreError> {
        let broken = |error: io::Error| StoreError::Unreachable(error.kind());
        match &address.place {
            Place::Tcp(origin, tls) => {
                let tls = tls.as_ref().map(without_alpn);
                let stream = connection::OutboundConnection::open(origin, tls).await;
                Self::over(stream.map_err(broken)?, &address.login).await
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(broken)?;
                Self::over(stream, &address.login).await
            }
        }
    }

    async fn over<S>(stream: S, login: &RedisConnectionInfo) -> Result<Self, StoreError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        // The caller's time limit is the only one.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (shared, driver) = MultiplexedConnection::new_with_config(login, stream, config)
            .await
            .map_err(|error| fault(&error))?;
        let (ends, over) = watch::channel(());
        let task = tokio::spawn(async move {
            driver.await;
            drop(ends);
        });
        Ok(Self {
            shared,
            driver: Arc::new(Driver {
                task: task.abort_handle(),
                over,
            }),
        })
    }

    /// Runs a script; a store that has forgotten it gets it again.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<Reply, StoreError> {
        let run = |how: &'static str, script: &str| {
            let mut command = redis::cmd(how);
            command.arg(script).arg(keys.len());
            for key in keys {
                command.arg(key.as_bytes());
            }
            for arg in args {
                command.arg(*arg);
            }
            command
        };
        let known = self.send(&run("EVALSHA", &script.digest)).await;
        let answer = match known {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&run("EVAL", script.text)).await
            }
            answer => answer,
        };
        answer.map(read).map_err(|error| fault(&error))
    }

    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        match self.shared.clone().req_packed_command(command).await? {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    /// Until the store, or the network, has closed it.
    pub(super) async fn closed(&self) {
        let mut over = self.driver.over.clone();
        while over.changed().await.is_ok() {}
    }
}

fn read(value: Value) -> Reply {
    match value {
        Value::Int(number) => Reply::Number(number),
        Value::BulkString(bytes) => Reply::Bytes(bytes),
        Value::Array(values) => Reply::List(values.into_iter().map(read).collect()),
        _ => Reply::Other,
    }
}

fn fault(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreError::Login,
        ErrorKind::Io => StoreError::Unreachable(if error.is_timeout() {
            io::ErrorKind::TimedOut
        } else {
            io::ErrorKind::ConnectionReset
        }),
        ErrorKind::Server(_) | ErrorKind::Extension => StoreError::refused(error.code()),
        _ => StoreError::Garbled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::connection::client_config;

    fn parse(text: &str) -> Result<Address, &'static str> {
        Address::parse(
            &Secret::new(text),
            &ClientTls::new(client_config(None).unwrap()),
        )
    }

    #[test]
    fn addresses_are_read_with_their_login() {
        let address = parse("rediss://ann:p%40ss@redis.example.com:6380/3").unwrap();
        let Place::Tcp(origin, Some(tls)) = &address.place else {
            panic!("no TLS");
        };
        assert_eq!(
            (origin.host.as_str(), origin.port),
            ("redis.example.com", 6380)
        );
        assert!(without_alpn(tls).alpn_protocols.is_empty());
        let login = &address.login;
        assert_eq!(
            (login.username(), login.password(), login.db()),
            (Some("ann"), Some("p@ss"), 3)
        );
        let plain = parse("valkey://10.0.0.1").unwrap();
        let Place::Tcp(origin, None) = &plain.place else {
            panic!("TLS");
        };
        assert_eq!((origin.host.as_str(), origin.port), ("10.0.0.1", 6379));
        assert!(matches!(
            parse("unix:///run/redis.sock").unwrap().place,
            Place::Unix(_)
        ));
    }

    #[test]
    fn what_is_no_address_of_a_redis_is_refused() {
        for wrong in [
            "",
            "redis",
            "redis://",
            "http://127.0.0.1:6379",
            "redis://127.0.0.1:port",
            "redis://127.0.0.1/zero",
            "rediss://127.0.0.1/#insecure",
            "redis://127.0.0.1/?protocol=resp3",
        ] {
            let told = parse(wrong).err().unwrap_or_else(|| panic!("{wrong}"));
            assert!(!told.contains("127"), "{told}");
        }
    }
}
