//! Listening sockets, and the loop that accepts connections from them.
//!
//! A connection gets a place in the [table](super::table) before it is served. While the table is
//! full and nothing can be evicted, one connection waits here, and the others in the kernel's
//! queue. Never stops because an accept failed, never spins on a failure that persists, such as a
//! lack of file descriptors. Never leaves a connection in a queue that ends with its socket, but
//! after a handover while no place is free: another process may use these sockets too, which can't
//! be known here.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokio::{net::TcpStream, task::JoinSet};

use super::{
    listeners::BoundListener,
    table::{ConnectionPlace, ConnectionTable},
};
use crate::{
    descriptors::{DescriptorReserve, are_used_up},
    telemetry::repeated::RepeatedLine,
};

/// Pause after a failure that may persist.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Pause while an evicted connection closes.
const EVICTION: Duration = Duration::from_millis(2);

/// Most connections that are taken from the queue of a listener before it closes. Newcomers are not
/// told apart from those that waited, and no queue is longer (`net.core.somaxconn`, by default).
const LONGEST_QUEUE: usize = 4096;

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
    listeners: Vec<BoundListener>,
    table: Arc<ConnectionTable>,
    scarcity: Arc<Scarcity>,
    /// Whether these listeners may use the reserve of descriptors.
    uses_reserve: bool,
    /// Whether it has begun to accept.
    begun: bool,
    /// The listener that is asked first.
    round: usize,
    /// A connection that has no place yet.
    waiting: Option<(TcpStream, SocketAddr)>,
}

impl Acceptor {
    pub(super) fn new(
        listeners: Vec<BoundListener>,
        table: Arc<ConnectionTable>,
        scarcity: Arc<Scarcity>,
        uses_reserve: bool,
    ) -> Self {
        Self {
            listeners,
            table,
            scarcity,
            uses_reserve,
            begun: false,
            round: 0,
            waiting: None,
        }
    }

    /// Accepts from the time that `begin` resolves until `end` does, and returns what that yields.
    /// Spawns the future that `serve` makes for each connection.
    pub(super) async fn accept_during<T, F>(
        &mut self,
        begin: impl Future<Output = ()>,
        end: impl Future<Output = T>,
        tasks: &mut JoinSet<()>,
        serve: impl Fn(AcceptedConnection) -> F,
    ) -> T
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut end = pin!(end);
        tokio::select! {
            biased;
            ended = &mut end => return ended,
            () = begin => self.begun = true,
        }
        loop {
            tokio::select! {
                biased;
                ended = &mut end => return ended,
                // Finished tasks are removed as they end, otherwise the set would grow.
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                accepted = self.next() => {
                    if let Some(accepted) = accepted {
                        tasks.spawn(serve(accepted));
                    }
                }
            }
        }
    }

    /// Closes the listeners. Before that, accepts what waits in the queues that end with them.
    /// After a handover these are only those that the other process does not use, which nobody here
    /// can tell: then it accepts as long as places are free.
    pub(super) async fn close<F>(
        mut self,
        handed_over: bool,
        tasks: &mut JoinSet<()>,
        serve: impl Fn(AcceptedConnection) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let listeners = std::mem::take(&mut self.listeners).into_iter();
        // Until it has begun, what waits belongs to the process that shares the socket.
        let is_anothers = |it: &BoundListener| it.is_held() || (it.is_shared() && !self.begun);
        let queues = listeners
            .filter(|listener| !is_anothers(listener))
            .filter_map(|listener| listener.tcp.into_std().ok());
        let queues: Vec<_> = queues.collect();
        let mut left = LONGEST_QUEUE.saturating_mul(queues.len());
        loop {
            if let Some(accepted) = self.place_waiting().await {
                tasks.spawn(serve(accepted));
            }
            if left == 0 || (handed_over && !self.table.has_room()) {
                return;
            }
            left = left.saturating_sub(1);
            match accept_now(&queues) {
                Ok(None) => return,
                Ok(accepted) => self.waiting = accepted,
                Err(error) => self.recover(&error).await,
            }
        }
    }

    /// The next connection, or `None` after a failure and its pause. Cancel safe: a connection that
    /// has no place yet stays in `waiting`.
    async fn next(&mut self) -> Option<AcceptedConnection> {
        if self.waiting.is_none() {
            match accept_any(&self.listeners, &mut self.round).await {
                Ok(accepted) => self.waiting = Some(accepted),
                Err(error) => {
                    self.recover(&error).await;
                    return None;
                }
            }
        }
        self.place_waiting().await
    }

    /// Waits for a place for the connection that has none, if there is one.
    async fn place_waiting(&mut self) -> Option<AcceptedConnection> {
        self.waiting.as_ref()?;
        let place = self.table.place().await;
        let (tcp, address) = self.waiting.take()?;
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
    listeners: &[BoundListener],
    round: &mut usize,
) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|cx| {
        *round = round.wrapping_add(1);
        let first = round.checked_rem(listeners.len()).unwrap_or(0);
        let (before, after) = listeners.split_at(first);
        for listener in after.iter().chain(before) {
            if let Poll::Ready(accepted) = listener.tcp.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

/// A connection that waits in a queue; `None` if all are empty. Asks the system, since the runtime
/// may not have heard of the newest ones.
fn accept_now(queues: &[std::net::TcpListener]) -> io::Result<Option<(TcpStream, SocketAddr)>> {
    for queue in queues {
        match queue.accept() {
            Ok((tcp, address)) => {
                tcp.set_nonblocking(true)?;
                return Ok(Some((TcpStream::from_std(tcp)?, address)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{super::activity::ConnectionTimeouts, *};
    use crate::server::table::HEAD_BUDGET;

    const LONG: Duration = Duration::from_secs(600);

    /// What becomes of three connections in the queue when the listener closes: how many are
    /// served. There are so many places.
    async fn served_at_the_end(
        shared: bool,
        begun: bool,
        handed_over: bool,
        places: usize,
    ) -> usize {
        let listener = BoundListener::of_test(shared).await;
        let address = listener.address().unwrap();
        let timeouts = ConnectionTimeouts {
            head: LONG,
            idle: LONG,
            grace: LONG,
        };
        let table = ConnectionTable::new(places, HEAD_BUDGET, timeouts);
        let scarcity = Scarcity::new(DescriptorReserve::new(0), Arc::clone(&table));
        let mut acceptor = Acceptor::new(vec![listener], table, Arc::new(scarcity), false);
        acceptor.begun = begun;
        let mut queued = Vec::new();
        for _ in 0..3 {
            queued.push(TcpStream::connect(address).await.unwrap());
        }
        let mut tasks = JoinSet::new();
        let keep = |accepted| async {
            let _kept: AcceptedConnection = accepted;
            std::future::pending().await
        };
        acceptor.close(handed_over, &mut tasks, keep).await;
        tasks.len()
    }

    #[tokio::test]
    async fn a_queue_that_ends_is_served_and_one_of_another_process_is_left_alone() {
        // At a stop, all of the queue.
        assert_eq!(served_at_the_end(false, true, false, 9).await, 3);
        assert_eq!(served_at_the_end(true, true, false, 9).await, 3);
        // Stopped before it has taken over: the queue is the earlier process's.
        assert_eq!(served_at_the_end(true, false, false, 9).await, 0);
        // After a handover: the other process may not listen there, but it has more room.
        assert_eq!(served_at_the_end(false, true, true, 9).await, 3);
        assert_eq!(served_at_the_end(false, true, true, 2).await, 2);
    }
}
