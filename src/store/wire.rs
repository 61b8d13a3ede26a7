//! The only file that uses the `redis` crate: a connection to one server, and running a script or a
//! command there.
//!
//! TCP and TLS connections are opened like all others ([`crate::outbound`]), so that the same
//! certificates are trusted. The crate contributes the protocol, and one connection that all
//! requests share. Its errors may hold an address or a reply, so they end here, as a
//! [`StoreError`].

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    sync::watch,
    task::AbortHandle,
};

use super::{
    address::StoreLogin,
    checked::CheckedStream,
    error::StoreError,
    keys::StoreKey,
    node_list::redirected,
    script::{Script, ScriptReply},
};
use crate::outbound::{connection::OutboundConnection, origin::Origin};

/// A connection that all requests share. It closes when the last clone is dropped.
#[derive(Clone)]
pub(super) struct StoreConnection {
    shared: MultiplexedConnection,
    driver: Arc<Driver>,
    peer: StorePeer,
}

/// The other end of a connection.
#[derive(Clone)]
struct StorePeer {
    /// The server, unless it is reached through a socket of this machine.
    server: Option<Arc<Origin>>,
    /// It sent what is no reply to a request.
    is_invalid: Arc<AtomicBool>,
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

impl StoreConnection {
    /// Logs in over a connection to this server. The caller limits the time.
    pub(super) async fn over(
        stream: OutboundConnection,
        server: &Origin,
        login: &StoreLogin,
    ) -> Result<Self, StoreError> {
        Self::log_in(stream, Some(Arc::new(server.clone())), login).await
    }

    /// Connects to a socket of this machine.
    pub(super) async fn over_socket(path: &Path, login: &StoreLogin) -> Result<Self, StoreError> {
        let stream = UnixStream::connect(path).await;
        let stream = stream.map_err(|error| StoreError::Unreachable(error.kind()))?;
        Self::log_in(stream, None, login).await
    }

    async fn log_in<S>(
        stream: S,
        server: Option<Arc<Origin>>,
        login: &StoreLogin,
    ) -> Result<Self, StoreError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let login = connection_info(login)?;
        let (stream, is_invalid) = CheckedStream::new(stream);
        let peer = StorePeer { server, is_invalid };
        let (shared, driver) = MultiplexedConnection::new_with_config(&login, stream, config)
            .await
            .map_err(|error| peer.error(&error))?;
        let (ended, over) = watch::channel(());
        let task = tokio::spawn(async move {
            driver.await;
            drop(ended);
        });
        let driver = Arc::new(Driver {
            task: task.abort_handle(),
            over,
        });
        Ok(Self {
            shared,
            driver,
            peer,
        })
    }

    /// The server, unless it is reached through a socket of this machine.
    pub(super) fn server(&self) -> Option<&Origin> {
        self.peer.server.as_deref()
    }

    /// Runs a script by its digest, or by its text if the store does not know it. With `asking`,
    /// at a node of a cluster that is only being given the keys.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
        asking: bool,
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
        let known = self.send(run("EVALSHA", &script.digest), asking).await;
        let reply = match known {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(run("EVAL", script.text), asking).await
            }
            reply => reply,
        };
        self.judge(reply)
    }

    /// Runs a command.
    pub(super) async fn command(&self, words: &[&str]) -> Result<ScriptReply, StoreError> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        self.judge(self.send(command, false).await)
    }

    async fn send(&self, command: Cmd, asking: bool) -> Result<Value, RedisError> {
        let mut shared = self.shared.clone();
        let value = match asking {
            false => shared.req_packed_command(&command).await?,
            true => {
                // In one piece, so that no other request comes between the two.
                let mut both = redis::pipe();
                both.cmd("ASKING").add_command(command);
                let values = shared.req_packed_commands(&both, 1, 1).await?;
                values.into_iter().next().unwrap_or(Value::Nil)
            }
        };
        match value {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    fn judge(&self, reply: Result<Value, RedisError>) -> Result<ScriptReply, StoreError> {
        reply
            .map(ScriptReply::from)
            .map_err(|error| self.peer.error(&error))
    }

    /// Resolves when the store, the network or an invalid reply has closed the connection.
    pub(super) async fn closed(&self) -> StoreError {
        let mut over = self.driver.over.clone();
        while over.changed().await.is_ok() {}
        self.peer.broken(io::ErrorKind::ConnectionReset)
    }
}

impl StorePeer {
    /// The error of a call.
    fn error(&self, error: &RedisError) -> StoreError {
        let elsewhere = || redirected(error.redirect_node()?.0, self.server.as_deref()?);
        match error.kind() {
            ErrorKind::AuthenticationFailed => StoreError::Login,
            ErrorKind::Io if error.is_timeout() => self.broken(io::ErrorKind::TimedOut),
            ErrorKind::Io => self.broken(io::ErrorKind::ConnectionReset),
            ErrorKind::Server(ServerErrorKind::TryAgain) => StoreError::Split,
            ErrorKind::Server(kind @ (ServerErrorKind::Moved | ServerErrorKind::Ask)) => {
                match (elsewhere(), kind) {
                    (Some(node), ServerErrorKind::Moved) => StoreError::Moved(node),
                    (Some(node), _) => StoreError::Ask(node),
                    (None, _) => StoreError::refused(error.code()),
                }
            }
            ErrorKind::Server(_) | ErrorKind::Extension => StoreError::refused(error.code()),
            _ => StoreError::Invalid,
        }
    }

    /// The error of a connection that broke in this way.
    fn broken(&self, how: io::ErrorKind) -> StoreError {
        match self.is_invalid.load(Ordering::Relaxed) {
            true => StoreError::Invalid,
            false => StoreError::Unreachable(how),
        }
    }
}

fn connection_info(login: &StoreLogin) -> Result<RedisConnectionInfo, StoreError> {
    // The crate would announce its name and version, which needs another permission.
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = &login.user {
        info = info.set_username(user);
    }
    if let Some(password) = &login.password {
        let password = str::from_utf8(password.reveal()).map_err(|_| StoreError::Login)?;
        info = info.set_password(password);
    }
    Ok(info.set_db(login.database.into()))
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
