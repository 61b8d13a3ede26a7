//! The open connections of a listener: how many there may be, which one goes when another needs
//! its place, and the memory that unfinished heads share.
//!
//! Relies on [`ConnectionActivity`] to say what a connection does. The table is only searched when
//! there is no room, and then for several victims at once. Never evicts a connection with a request
//! in flight.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    activity::{ConnectionActivity, ConnectionTimeouts},
    head_budget::HeadBudget,
};
use crate::places::{Place, Places};

/// Memory for the unfinished heads of all connections, in bytes.
pub(super) const HEAD_BUDGET: usize = 64 * 1024 * 1024;
/// Victims that one search finds.
const BATCH: usize = 64;
/// How long a newcomer waits for one victim's place before it takes the next victim.
const RETRY: Duration = Duration::from_millis(100);

/// The open connections of a listener.
pub(super) struct ConnectionTable {
    places: Arc<Places>,
    next_id: AtomicU64,
    open: Mutex<OpenConnections>,
    /// Connections found idle, with their rank at that time, in its order.
    idle: Mutex<Victims<Instant>>,
    /// Connections found with an unfinished head, the oldest first.
    heads: Mutex<Victims<Instant>>,
    head_budget: Arc<HeadBudget>,
}

/// The open connections, and the time limits of those to come.
struct OpenConnections {
    timeouts: ConnectionTimeouts,
    by_id: HashMap<u64, Arc<ConnectionActivity>>,
}

type Victims<K> = VecDeque<(K, Weak<ConnectionActivity>)>;

/// A place in the table. It is free again when this is dropped.
pub(super) struct ConnectionPlace {
    pub(super) activity: Arc<ConnectionActivity>,
    id: u64,
    pub(super) table: Arc<ConnectionTable>,
    _place: Place,
}

impl ConnectionTable {
    /// A table of at most `limit` connections, whose unfinished heads take `head_budget` bytes.
    pub(super) fn new(limit: usize, head_budget: usize, timeouts: ConnectionTimeouts) -> Arc<Self> {
        let open = OpenConnections {
            timeouts,
            by_id: HashMap::new(),
        };
        Arc::new(Self {
            places: Places::new(limit),
            next_id: AtomicU64::new(0),
            open: Mutex::new(open),
            idle: Mutex::default(),
            heads: Mutex::default(),
            head_budget: Arc::new(HeadBudget::new(head_budget)),
        })
    }

    /// Takes a place for a connection that was just accepted. In a full table, evicts the longest
    /// idle connection, and waits until a place is free. Cancel safe.
    pub(super) async fn place(self: &Arc<Self>) -> ConnectionPlace {
        loop {
            if let Some(place) = self.places.try_take() {
                return self.enter(place);
            }
            self.evict_idle();
            if let Ok(Some(place)) = timeout(RETRY, self.places.take()).await {
                return self.enter(place);
            }
        }
    }

    /// Whether a place is free.
    pub(super) fn has_room(&self) -> bool {
        self.places.free() > 0
    }

    /// Changes how many connections there may be, and the time limits of all of them. Closes idle
    /// ones while there are too many.
    pub(super) fn change(&self, limit: usize, timeouts: ConnectionTimeouts) {
        self.places.resize(limit);
        let mut open = lock(&self.open);
        open.timeouts = timeouts;
        for activity in open.by_id.values() {
            activity.change_timeouts(timeouts);
        }
        drop(open);
        for _ in 0..self.places.surplus() {
            if !self.evict_idle() {
                return;
            }
        }
    }

    fn enter(self: &Arc<Self>, place: Place) -> ConnectionPlace {
        let heads = Arc::clone(&self.head_budget);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut open = lock(&self.open);
        // Under the lock: a change of the time limits meets this connection or is met by it.
        let activity = ConnectionActivity::new(open.timeouts, Instant::now(), heads);
        let activity = Arc::new(activity);
        open.by_id.insert(id, Arc::clone(&activity));
        drop(open);
        ConnectionPlace {
            activity,
            id,
            table: Arc::clone(self),
            _place: place,
        }
    }

    /// Evicts the idle connection of the lowest [rank](ConnectionActivity::idle_rank). Returns
    /// whether there was one.
    pub(super) fn evict_idle(&self) -> bool {
        let mut victims = lock(&self.idle);
        let evict = ConnectionActivity::evict_idle;
        if evict_first(&mut victims, evict) {
            return true;
        }
        let now = Instant::now();
        *victims = self.first(|activity| activity.idle_rank(now));
        // Of those that rank behind a newcomer only one: until the next is needed, one may have
        // come.
        let before = victims.partition_point(|(rank, _)| *rank <= now);
        victims.truncate(before.max(1));
        evict_first(&mut victims, evict)
    }

    /// Evicts the oldest unfinished heads, while they take more than their budget.
    pub(super) fn keep_head_budget(&self) {
        if !self.head_budget.is_exceeded() {
            return;
        }
        let mut victims = lock(&self.heads);
        while self.head_budget.is_exceeded() {
            if evict_first(&mut victims, ConnectionActivity::evict_head) {
                continue;
            }
            *victims = self.first(ConnectionActivity::head_since);
            if victims.is_empty() {
                return;
            }
        }
    }

    /// The connections with the lowest keys, in order.
    fn first<K: Ord + Copy>(&self, key: impl Fn(&ConnectionActivity) -> Option<K>) -> Victims<K> {
        let open = lock(&self.open);
        let found = open.by_id.iter();
        let found = found.filter_map(|(id, activity)| Some((key(activity)?, *id)));
        let mut found: Vec<_> = found.collect();
        if found.len() > BATCH {
            found.select_nth_unstable(BATCH);
            found.truncate(BATCH);
        }
        found.sort_unstable();
        let victims = found.into_iter();
        victims
            .filter_map(|(key, id)| Some((key, Arc::downgrade(open.by_id.get(&id)?))))
            .collect()
    }
}

/// Evicts the first victim whose key is still the same.
fn evict_first<K>(
    victims: &mut Victims<K>,
    evict: impl Fn(&ConnectionActivity, K) -> bool,
) -> bool {
    while let Some((key, victim)) = victims.pop_front() {
        if victim.upgrade().is_some_and(|victim| evict(&victim, key)) {
            return true;
        }
    }
    false
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        lock(&self.table.open).by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::server::activity::{HttpVersion, RequestGuard};

    const TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        grace: Duration::from_millis(100),
    };

    impl ConnectionTable {
        /// Adds a connection that has been idle for so long.
        fn add(&self, idle: Duration, authenticated: bool) -> Arc<ConnectionActivity> {
            let since = Instant::now().checked_sub(idle).unwrap();
            let heads = Arc::clone(&self.head_budget);
            let activity = Arc::new(ConnectionActivity::new(TIMEOUTS, since, heads));
            activity
                .authenticated()
                .store(authenticated, Ordering::Relaxed);
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            lock(&self.open).by_id.insert(id, Arc::clone(&activity));
            activity
        }
    }

    #[test]
    fn newcomers_do_not_replace_each_other_in_a_house_full_of_idle_users() {
        let table = ConnectionTable::new(100, HEAD_BUDGET, TIMEOUTS);
        let seconds = Duration::from_secs_f64;
        let users = [60.0, 8.0, 7.0].map(|idle| table.add(seconds(idle), true));
        let newcomer = table.add(seconds(0.8), false);
        let (recent, fresh) = (table.add(seconds(2.0), true), table.add(seconds(0.5), true));
        let silent = table.add(seconds(4.0), false);
        let just_accepted = table.add(Duration::ZERO, false);
        let [first, second, third] = &users;
        for next in [first, &silent, second, third, &newcomer, &recent] {
            assert!(!next.is_evicted());
            assert!(table.evict_idle());
            assert!(next.is_evicted());
        }
        assert!(!table.evict_idle());
        assert!(!fresh.is_evicted() && !just_accepted.is_evicted());
    }

    #[tokio::test]
    async fn fewer_places_close_idle_connections_and_no_busy_one() {
        let timeouts = ConnectionTimeouts {
            grace: Duration::ZERO,
            ..TIMEOUTS
        };
        let table = ConnectionTable::new(3, HEAD_BUDGET, timeouts);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(table.place().await);
        }
        let busy = RequestGuard::uncounted(&places[0].activity);
        table.change(1, timeouts);
        let evicted: Vec<_> = places.iter().map(|it| it.activity.is_evicted()).collect();
        assert_eq!(evicted, [false, true, true]);
        drop(busy);
        places.truncate(1);
        assert_eq!(table.places.free(), 0);
        drop(places);
        assert_eq!(table.places.free(), 1);
    }

    #[test]
    fn an_unfinished_http2_head_is_evicted_beside_a_request_in_flight() {
        let table = ConnectionTable::new(100, 100_000, TIMEOUTS);
        let connections = [2, 1].map(|idle| table.add(Duration::from_secs(idle), true));
        let requests = connections.each_ref().map(RequestGuard::uncounted);
        for connection in &connections {
            connection.opened(HttpVersion::Http2);
            connection.http2_head(Some(60_000));
            connection.next(None, false);
        }
        assert!(table.head_budget.is_exceeded());
        table.keep_head_budget();
        assert!(!table.head_budget.is_exceeded());
        let evicted = connections.each_ref().map(|it| it.is_evicted());
        assert_eq!(evicted, [true, false], "the older one goes");
        let due = connections[0].next(None, false);
        assert_eq!(due, crate::server::activity::TimeoutDecision::HeadTimeout);
        drop(requests);
    }
}
