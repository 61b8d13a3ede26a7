//! The only file that uses the `redis` crate: an address, a connection, and running a script.
//!
//! TCP and TLS connections are opened like all others ([`crate::outbound`]), so that the same
//! certificates are trusted. The crate contributes the protocol, and one connection that all
//! requests share. Its errors may hold an address or a reply, so they end here, as a
//! [`StoreError`].

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use rustls::ClientConfig;
use tokio::{net::UnixStream, sync::watch, task::AbortHandle};

use super::{
    error::{AddressError, StoreError},
    keys::StoreKey,
    script::{Script, ScriptReply},
};
use crate::{
    outbound::{connection::ClientTls, dial::Dialer, origin::Origin},
    secret::Secret,
};

/// Where the store is, and how to log in. It has no `Debug` or `Display`: it holds a password.
#[derive(Clone)]
pub struct StoreAddress {
    location: Location,
    login: RedisConnectionInfo,
}

#[derive(Clone)]
enum Location {
    Tcp(Origin, Option<ClientTls>),
    Unix(PathBuf),
}

/// A connection that all requests share. It closes when the last clone is dropped.
#[derive(Clone)]
pub(super) struct StoreConnection {
    shared: MultiplexedConnection,
    driver: Arc<Driver>,
}

/// The task that reads and writes; dropping this ends it.
struct Driver {
    task: AbortHandle,
    over: watch::Receiver<()>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StoreAddress {
    /// Parses a URL: `redis://` or `valkey://`, `rediss://` or `valkeys://` (with `tls`), or
    /// `unix://`.
    ///
    /// # Errors
    /// The text is no such URL.
    pub fn parse(text: &Secret, tls: &ClientTls) -> Result<Self, AddressError> {
        const WRONG: AddressError = AddressError::NotRedis;
        let text = str::from_utf8(text.reveal()).map_err(|_| WRONG)?;
        let mut url = redis::parse_redis_url(text).ok_or(WRONG)?;
        if url.fragment().is_some() || url.query().is_some() {
            return Err(AddressError::HasOptions);
        }
        let encrypted = match url.scheme() {
            "rediss" | "valkeys" => {
                url.set_scheme("redis").map_err(|()| WRONG)?;
                true
            }
            _ => false,
        };
        let info = url.into_connection_info().map_err(|_| WRONG)?;
        let location = match info.addr() {
            ConnectionAddr::Tcp(host, port) if !host.is_empty() => {
                let origin = Origin {
                    tls: encrypted,
                    host: host.clone(),
                    port: *port,
                    authority: String::new(),
                };
                Location::Tcp(origin, encrypted.then(|| tls.clone()))
            }
            ConnectionAddr::Unix(path) => Location::Unix(path.clone()),
            _ => return Err(WRONG),
        };
        // The crate would announce its name and version, which needs another permission.
        let login = info.redis_settings().clone().set_skip_set_lib_name();
        Ok(Self { location, login })
    }
}

/// Without HTTP's ALPN protocols, which a Redis behind a TLS proxy can't choose.
fn without_alpn(tls: &ClientTls) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&tls.current());
    config.alpn_protocols.clear();
    Arc::new(config)
}

impl StoreConnection {
    /// Connects within `connect_timeout`, and logs in. The caller limits the time of that.
    pub(super) async fn open(
        address: &StoreAddress,
        dialer: &Dialer,
        connect_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let broken = |error: io::Error| StoreError::Unreachable(error.kind());
        match &address.location {
            Location::Tcp(origin, tls) => {
                let tls = tls.as_ref().map(without_alpn);
                let stream = dialer.open(origin, tls, connect_timeout).await;
                Self::over(stream.map_err(broken)?, &address.login).await
            }
            Location::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(broken)?;
                Self::over(stream, &address.login).await
            }
        }
    }

    async fn over<S>(stream: S, login: &RedisConnectionInfo) -> Result<Self, StoreError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        // The caller limits the time.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (shared, driver) = MultiplexedConnection::new_with_config(login, stream, config)
            .await
            .map_err(|error| store_error(&error))?;
        let (ended, over) = watch::channel(());
        let task = tokio::spawn(async move {
            driver.await;
            drop(ended);
        });
        Ok(Self {
            shared,
            driver: Arc::new(Driver {
                task: task.abort_handle(),
                over,
            }),
        })
    }

    /// Runs a script by its digest, or by its text if the store does not know it.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<ScriptReply, StoreError> {
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
        let reply = match known {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&run("EVAL", script.text)).await
            }
            reply => reply,
        };
        reply
            .map(ScriptReply::from)
            .map_err(|error| store_error(&error))
    }

    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        match self.shared.clone().req_packed_command(command).await? {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    /// Resolves when the store or the network has closed the connection.
    pub(super) async fn closed(&self) {
        let mut over = self.driver.over.clone();
        while over.changed().await.is_ok() {}
    }
}

impl From<Value> for ScriptReply {
    fn from(value: Value) -> Self {
        match value {
            Value::Int(number) => Self::Number(number),
            Value::BulkString(bytes) => Self::Bytes(bytes),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            _ => Self::Other,
        }
    }
}

fn store_error(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreError::Login,
        ErrorKind::Io => StoreError::Unreachable(if error.is_timeout() {
            io::ErrorKind::TimedOut
        } else {
            io::ErrorKind::ConnectionReset
        }),
        ErrorKind::Server(_) | ErrorKind::Extension => StoreError::refused(error.code()),
        _ => StoreError::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::connection::client_config;

    fn parse(text: &str) -> Result<StoreAddress, AddressError> {
        StoreAddress::parse(
            &Secret::new(text),
            &ClientTls::new(client_config(None).unwrap()),
        )
    }

    #[test]
    fn an_address_is_parsed_with_its_login() {
        let address = parse("rediss://ann:p%40ss@redis.example.com:6380/3").unwrap();
        let Location::Tcp(origin, Some(tls)) = &address.location else {
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
        let Location::Tcp(origin, None) = &plain.location else {
            panic!("TLS");
        };
        assert_eq!((origin.host.as_str(), origin.port), ("10.0.0.1", 6379));
        assert!(matches!(
            parse("unix:///run/redis.sock").unwrap().location,
            Location::Unix(_)
        ));
    }

    #[test]
    fn a_text_that_is_no_address_of_a_redis_is_refused() {
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
            let error = parse(wrong).err().unwrap_or_else(|| panic!("{wrong}"));
            assert!(!error.to_string().contains("127"), "{error}");
        }
    }
}
