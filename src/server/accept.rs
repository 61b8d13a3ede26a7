//! Listening sockets, and the loop that accepts connections from them.
//!
//! Takes a permit before it accepts: beyond the limit, new connections wait in the kernel's queue
//! and use no memory here. Never stops because an accept failed, and never spins on a failure that
//! persists, such as a lack of file descriptors.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

/// Pause after a failure that may persist.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Binds every address.
///
/// # Errors
/// Fails at the first address that can't be bound; the message names it.
pub async fn bind(listen: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(listen.len());
    for address in listen {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// A connection that was just accepted.
pub(super) struct AcceptedConnection {
    pub(super) tcp: TcpStream,
    pub(super) address: SocketAddr,
    /// Counts against the limit of connections until it is dropped.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Accepts until `stop` resolves, at most `limit` connections at once over all listeners. Spawns
/// the future that `serve` makes for each. Closes the listeners and returns the tasks still
/// running.
pub(super) async fn accept_until<F>(
    listeners: Vec<TcpListener>,
    limit: usize,
    stop: impl Future<Output = ()>,
    mut serve: impl FnMut(AcceptedConnection) -> F,
) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
    let mut tasks = JoinSet::new();
    let mut round = 0_usize;
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return tasks,
            // Finished tasks are removed as they end, otherwise the set would grow.
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = next(&listeners, &mut round, &permits) => {
                if let Some(accepted) = accepted {
                    tasks.spawn(serve(accepted));
                }
            }
        }
    }
}

/// The next connection, or `None` after a failure and its pause. Cancel safe: the permit is
/// released, and a connection that was not accepted stays in the queue.
async fn next(
    listeners: &[TcpListener],
    round: &mut usize,
    permits: &Arc<Semaphore>,
) -> Option<AcceptedConnection> {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match accept_any(listeners, round).await {
        Ok((tcp, address)) => Some(AcceptedConnection {
            tcp,
            address,
            permit,
        }),
        Err(error) => {
            // The peer closed the connection while it was queued; that is no failure of ours.
            if !matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
            ) {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(BACK_OFF).await;
            }
            None
        }
    }
}

/// Polls the listeners in rotation, so that a busy one can't starve the others.
async fn accept_any(
    listeners: &[TcpListener],
    round: &mut usize,
) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|cx| {
        *round = round.wrapping_add(1);
        let first = round.checked_rem(listeners.len()).unwrap_or(0);
        let (before, after) = listeners.split_at(first);
        for listener in after.iter().chain(before) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}
