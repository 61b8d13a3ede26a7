//! Listening sockets, and the loop that accepts from them.
//!
//! Takes the permit before accepting: beyond the limit, new connections wait in the kernel's queue and cost us nothing.
//! Never stops because accepting failed, and never spins over a failure that lasts (no descriptors left).

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

/// The pause after a failure that will not pass by itself at once.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Binds every address, all before any is served.
///
/// # Errors
/// The first address that could not be bound, named in the message.
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

/// A connection just accepted. The permit is given back when it is dropped.
pub(super) struct AcceptedConnection {
    pub(super) tcp: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Accepts until `stop`, at most `limit` connections at once over all listeners, each served by the task that `serve`
/// makes. The listeners are closed on return; the tasks still running are returned.
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
    let mut turn = 0_usize;
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return tasks,
            // Finished tasks are taken out as they end, or the set would grow.
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = next(&listeners, &mut turn, &permits) => {
                if let Some(accepted) = accepted {
                    tasks.spawn(serve(accepted));
                }
            }
        }
    }
}

/// The next connection; `None` after a failure, when the pause it called for is over. Loses nothing when dropped: the
/// permit is given back and a connection not yet accepted stays in the queue.
async fn next(
    listeners: &[TcpListener],
    turn: &mut usize,
    permits: &Arc<Semaphore>,
) -> Option<AcceptedConnection> {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match accept_any(listeners, turn).await {
        Ok((tcp, address)) => Some(AcceptedConnection {
            tcp,
            address,
            permit,
        }),
        Err(error) => {
            // The peer gave up while it was queued: nothing is wrong here.
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

/// Starts at another listener each time, so that a busy one can't starve the others.
async fn accept_any(
    listeners: &[TcpListener],
    turn: &mut usize,
) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|cx| {
        *turn = turn.wrapping_add(1);
        let first = turn.checked_rem(listeners.len()).unwrap_or(0);
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
