//! Users whose every video goes to two replicas at once, without an end, and limits that are used
//! up over both.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::{ask, eventually, replica_at, until};
use crate::support::{
    Answer, Gateway, VERIFY, bearer, routes,
    sealed::{KEY, sealed},
    upstream::{self, Does, Upstream, answer},
    verify_body, video,
};

/// Sessions that a user may request in an hour.
const SESSIONS: usize = 20;
/// Videos that a user may send in a day.
const VIDEOS: usize = 10;

/// A response of Qiniu's to a request for a session, and to a video that passes.
const ANY: &str = concat!(
    r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1730042187,"#,
    r#""result":{"session_id":"S1","code":"123","score":0.96,"action_verify":"pass"}}"#
);

/// Between two videos of a user, so that all the others leave some of the processor to the store.
const BREATH: Duration = Duration::from_millis(30);
/// How long a `verify` waits for a store in which another server takes over.
const WAIT: Duration = Duration::from_secs(10);

/// Two replicas, and what they send to Qiniu.
pub(crate) struct Pair {
    pub(crate) both: Arc<[Gateway; 2]>,
    qiniu: Upstream,
    /// Calls that limits have allowed.
    allowed: usize,
}

/// Users without an end.
pub(crate) struct Roaming {
    over: Arc<AtomicBool>,
    /// Videos that both replicas have answered.
    ended: Arc<AtomicUsize>,
    users: JoinSet<()>,
}

impl Pair {
    /// Two replicas with the store at this URL, which both have reached, and this in `[store]`.
    pub(crate) async fn at(url: &str, store: &str) -> Self {
        let qiniu = upstream::start(Does::Answer(answer("200 OK", ANY))).await;
        let limited = routes()
            .replacen(
                "rate = \"1000/s\"\nburst = 1000",
                &format!("rate = \"1/h\"\nburst = {SESSIONS}"),
                1,
            )
            .replace("quota = \"\"", &format!("quota = \"{VIDEOS}/day\""));
        let store = format!("timeout = \"5s\"\n{store}");
        let start = || replica_at(qiniu.address, url, &store, &limited);
        let both = [start().await, start().await];
        for gateway in &both {
            until(gateway, "store_up 1").await;
        }
        Self {
            both: Arc::new(both),
            qiniu,
            allowed: 0,
        }
    }

    /// Both replicas use a store now.
    pub(crate) async fn both_are_up(&self) {
        for gateway in self.both.iter() {
            until(gateway, "store_up 1").await;
        }
    }

    /// A user can use up each limit over both replicas, and gets no more.
    pub(crate) async fn limits_are_shared(&mut self, user: &str) {
        let mut requests = JoinSet::new();
        for number in 0..2 * SESSIONS {
            let (both, user) = (Arc::clone(&self.both), user.to_owned());
            requests.spawn(async move { ask(&both[number % 2], &user).await });
        }
        for number in 0..2 * VIDEOS {
            let (both, user, qiniu) = (Arc::clone(&self.both), user.to_owned(), self.qiniu.address);
            let id = format!("{user}-{number}");
            requests.spawn(async move { verify(&both[number % 2], qiniu, &user, &id).await });
        }
        let answers = requests.join_all().await;
        let passed = answers.iter().filter(|it| it.status == 200).count();
        let refused = answers.iter().filter(|it| it.status == 429).count();
        assert_eq!((passed, refused), (SESSIONS + VIDEOS, SESSIONS + VIDEOS));
        self.allowed += passed;
    }

    /// A user gets no more from both than from each alone, whatever happens to the store.
    pub(crate) async fn is_held_to_the_limits_of_both(&mut self, user: &str) {
        let mut passed = [0, 0];
        for number in 0..2 * (VIDEOS + 1) {
            let id = format!("{user}-{number}");
            let answer = verify(&self.both[number % 2], self.qiniu.address, user, &id).await;
            assert!(matches!(answer.status.as_u16(), 200 | 429), "{answer:?}");
            passed[number % 2] += usize::from(answer.status == 200);
        }
        assert!(passed.iter().all(|it| *it <= VIDEOS), "{passed:?}");
        self.allowed += passed[0] + passed[1];
    }

    /// Users who begin now.
    pub(crate) fn users(&self) -> Roaming {
        let (over, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut users = JoinSet::new();
        for number in 0..4 {
            let (both, qiniu) = (Arc::clone(&self.both), self.qiniu.address);
            let (over, ended) = (Arc::clone(&over), Arc::clone(&ended));
            users.spawn(async move {
                for attempt in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let user = format!("roaming-{number}-{attempt}");
                    let send = |gateway| verify(gateway, qiniu, &user, &user);
                    let (one, other) = tokio::join!(send(&both[0]), send(&both[1]));
                    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
                    ended.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(BREATH).await;
                }
            });
        }
        Roaming { over, ended, users }
    }

    /// Ends the users, and asserts that each video was one call. If the store was away for longer
    /// than a `verify` waits for it, one at each replica can be two.
    pub(crate) async fn was_one_call_each(&self, users: Roaming, away: Duration) {
        users.over.store(true, Ordering::SeqCst);
        users.users.join_all().await;
        let videos = users.ended.load(Ordering::SeqCst);
        let calls = self.qiniu.requests();
        eprintln!("{videos} videos to both replicas, {calls} calls, away for {away:?}");
        match away < WAIT {
            true => assert_eq!(calls, videos + self.allowed),
            false => assert!(calls <= 2 * videos + self.allowed),
        }
    }
}

impl Roaming {
    /// Waits until each user has ended what was under way, and more.
    pub(crate) async fn go_on(&self) {
        let before = self.ended.load(Ordering::SeqCst);
        let is_over = || self.ended.load(Ordering::SeqCst) >= before + 8;
        eventually("videos", async || is_over()).await;
    }
}

async fn verify(gateway: &Gateway, qiniu: SocketAddr, user: &str, id: &str) -> Answer {
    let id = sealed(KEY, qiniu, user, id, Duration::ZERO);
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer(user))
        .header("content-type", "application/json");
    gateway
        .send(false, request, verify_body(&id, &video(0)))
        .await
}
