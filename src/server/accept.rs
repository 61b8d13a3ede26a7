//! Listening sockets, and the loop that accepts connections from them.
//!
//! A connection gets a place in the [table](super::table) before it is served. While the table is
//! full and nothing can be evicted, one connection waits here, and the others in the kernel's
//! queue. Never stops because an accept failed, and never spins on a failure that persists, such as
//! a lack of file descriptors.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::table::{ConnectionPlace, ConnectionTable};
use crate::{
    descriptors::{DescriptorReserve, are_used_up},
    telemetry::repeated::RepeatedLine,
};

/// Pause after a failure that may persist.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Pause while an evicted connection closes.
const EVICTION: Duration = Duration::from_millis(2);

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
    pub(super) place: ConnectionPlace,
}

/// What the listeners share when no descriptor is free.
pub(super) struct Scarcity {
    /// The descriptors held back for the admin listener.
    pub(super) reserve: DescriptorReserve,
    /// The connections that make room, if the listener has none itself: those of the public one.
    pub(super) victims: Arc<ConnectionTable>,
    log: RepeatedLine,
}

impl Scarcity {
    pub(super) fn new(reserve: DescriptorReserve, victims: Arc<ConnectionTable>) -> Self {
        Self {
            reserve,
            victims,
            log: RepeatedLine::default(),
        }
    }
}

/// The listeners of one kind, and where their connections go.
pub(super) struct Acceptor {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) table: Arc<ConnectionTable>,
    pub(super) scarcity: Arc<Scarcity>,
    /// Whether these listeners may use the reserve of descriptors.
    pub(super) uses_reserve: bool,
}

impl Acceptor {
    /// Accepts until `stop` resolves. Spawns the future that `serve` makes for each connection.
    /// Closes the listeners and returns the tasks still running.
    pub(super) async fn accept_until<F>(
        self,
        stop: impl Future<Output = ()>,
        mut serve: impl FnMut(AcceptedConnection) -> F,
    ) -> JoinSet<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        let (mut round, mut waiting) = (0_usize, None);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return tasks,
                // Finished tasks are removed as they end, otherwise the set would grow.
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                accepted = self.next(&mut round, &mut waiting) => {
                    if let Some(accepted) = accepted {
                        tasks.spawn(serve(accepted));
                    }
                }
            }
        }
    }

    /// The next connection, or `None` after a failure and its pause. Cancel safe: a connection that
    /// has no place yet stays in `waiting`.
    async fn next(
        &self,
        round: &mut usize,
        waiting: &mut Option<(TcpStream, SocketAddr)>,
    ) -> Option<AcceptedConnection> {
        if waiting.is_none() {
            match accept_any(&self.listeners, round).await {
                Ok(accepted) => *waiting = Some(accepted),
                Err(error) => {
                    self.recover(&error).await;
                    return None;
                }
            }
        }
        let place = self.table.place().await;
        let (tcp, address) = waiting.take()?;
        Some(AcceptedConnection {
            tcp,
            address,
            place,
        })
    }

    /// Makes room after a lack of descriptors, and pauses after a failure that may persist.
    async fn recover(&self, error: &io::Error) {
        // The peer closed the connection while it was queued; that is no failure of ours.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        let scarcity = &self.scarcity;
        scarcity.log.log(|left_out| {
            tracing::warn!(
                %error, left_out,
                "can't accept a connection; raise the limit of open files (`ulimit -n`, \
                 LimitNOFILE=) if it is used up, or lower server.max_connections"
            );
        });
        let mut pause = BACK_OFF;
        if are_used_up(error) {
            if self.uses_reserve && scarcity.reserve.release() {
                return;
            }
            if self.table.evict_idle() || scarcity.victims.evict_idle() {
                pause = EVICTION;
            }
        }
        tokio::time::sleep(pause).await;
        // Before anything else can take the descriptor of a closed connection.
        scarcity.reserve.fill();
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
