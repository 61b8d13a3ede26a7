//! The normal load: small requests and 2 MiB verifies over HTTP/1.1 and HTTP/2 at a given pace,
//! newcomers and slow users; every response is checked.
//!
//! A request's time counts from when it is started to its last byte, the wait for a free connection
//! included. Requests are started on time whether or not earlier ones have ended. Never sends to
//! anything but the gateway.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use super::{
    api,
    check::{self, Judgement},
    clients::{Answer, Clients, Site},
    requests,
    samples::{Kind, Outcome, Samples},
};

/// One verify for so many small requests.
pub(crate) const SMALL_PER_VERIFY: usize = 40;
/// Every so many verifies, another user's session is tried.
const FOREIGN_EVERY: usize = 25;
/// A request that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a newcomer's, with its connection.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);
/// The same for a slow user's.
const LONG_PATIENCE: Duration = Duration::from_secs(40);
/// Sessions that wait for their verify.
const SESSIONS: usize = 64;
/// Requests under way at the most.
const UNDER_WAY: usize = 2_000;
const NEWCOMER_EVERY: Duration = Duration::from_millis(250);
pub(crate) const SLOW_USERS: usize = 20;
const SLOW_UPLOAD: Duration = Duration::from_secs(5);
const SLOW_PARTS: u32 = 40;
/// The address of newcomers, beside those of kept connections.
const NEWCOMER: usize = 100;

/// A user and a token.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) token: HeaderValue,
}

/// Everything that normal users do.
pub(crate) struct Load {
    clients: Clients,
    users: Arc<Vec<User>>,
    /// Base64.
    video: Bytes,
    /// Sessions and the indices of their users.
    sessions: Mutex<VecDeque<(usize, String)>>,
    number: AtomicUsize,
    samples: Mutex<Samples>,
    under_way: AtomicUsize,
}

impl User {
    /// Users named `prefix-N`, with tokens of the harness's own secret.
    pub(crate) fn of_the_harness(prefix: &str, count: usize) -> io::Result<Vec<Self>> {
        let user = |number| {
            let name = format!("{prefix}-{number}");
            let token = requests::token(requests::SECRET, &name)?;
            Self::new(name, &token)
        };
        (0..count).map(user).collect()
    }

    /// # Errors
    /// The token can't stand in a header field.
    pub(crate) fn new(name: String, token: &str) -> io::Result<Self> {
        let token = HeaderValue::try_from(format!("Bearer {token}")).map_err(io::Error::other)?;
        Ok(Self { name, token })
    }
}

impl Load {
    pub(crate) fn new(site: Site, users: Arc<Vec<User>>, video: Bytes) -> Arc<Self> {
        Arc::new(Self {
            clients: Clients::new(site),
            users,
            video,
            sessions: Mutex::default(),
            number: AtomicUsize::new(0),
            samples: Mutex::default(),
            under_way: AtomicUsize::new(0),
        })
    }

    /// The samples since the last call.
    pub(crate) fn take_samples(&self) -> Samples {
        std::mem::take(&mut *self.samples())
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Users at a pace, slow ones and newcomers, until `end`, which may change meanwhile. Then
    /// waits for what is under way.
    pub(crate) async fn until(
        self: &Arc<Self>,
        end: watch::Receiver<Instant>,
        rate: f64,
        slow_users: usize,
    ) {
        let users = async {
            let end = move || *end.borrow();
            tokio::join!(
                self.pace(rate, end.clone()),
                self.slow_users(slow_users, end)
            );
        };
        tokio::select! {
            () = users => {}
            () = self.newcomers() => {}
        }
    }

    /// Starts `rate` small requests a second, and the verifies that belong to them, until `end`;
    /// then waits for what is under way.
    pub(crate) async fn pace(self: &Arc<Self>, rate: f64, end: impl Fn() -> Instant) {
        let (begun, mut tasks) = (Instant::now(), JoinSet::new());
        for number in 0_u32.. {
            let due = begun + Duration::from_secs_f64(f64::from(number) / rate);
            if due >= end() {
                break;
            }
            sleep_until(due).await;
            while tasks.try_join_next().is_some() {}
            tasks.spawn(Arc::clone(self).step(self.number.fetch_add(1, Ordering::Relaxed)));
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Keeps `users` requests under way until `end`. Returns the number of small requests served.
    pub(crate) async fn rush(self: &Arc<Self>, users: usize, end: Instant) -> usize {
        let (served, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..users {
            let (load, served) = (Arc::clone(self), Arc::clone(&served));
            tasks.spawn(async move {
                while Instant::now() < end {
                    let number = load.number.fetch_add(1, Ordering::Relaxed);
                    Arc::clone(&load).step(number).await;
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while tasks.join_next().await.is_some() {}
        served.load(Ordering::Relaxed)
    }

    /// One small request, and a verify now and then.
    async fn step(self: Arc<Self>, number: usize) {
        if self.under_way.fetch_add(1, Ordering::Relaxed) < UNDER_WAY {
            self.small(number).await;
            if number.is_multiple_of(SMALL_PER_VERIFY) {
                self.verify(number / SMALL_PER_VERIFY).await;
            }
        } else {
            self.samples()
                .add(Kind::Small, Outcome::Lost("queue".to_owned()));
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    async fn small(&self, number: usize) {
        let user = number % self.users.len();
        let http2 = number.is_multiple_of(2);
        let request = requests::session(&self.users[user].token, http2);
        let sent = self.clients.send(request, http2);
        let answer = self.timed(Kind::Small, PATIENCE, sent, |answer| {
            check::session(answer.0, &answer.1)
        });
        if let Some(session) = answer.await.and_then(|(_, body)| api::session_id(&body)) {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.push_back((user, session));
            if sessions.len() > SESSIONS {
                sessions.pop_front();
            }
        }
    }

    async fn verify(&self, number: usize) {
        let Some((owner, session)) = self.session() else {
            return;
        };
        let http2 = number.is_multiple_of(2);
        let foreign = number % FOREIGN_EVERY == FOREIGN_EVERY - 1;
        let index = if foreign { owner + 1 } else { owner };
        let user = &self.users[index % self.users.len()];
        let request = requests::verify(&user.token, http2, &session, &self.video);
        if foreign {
            // On a connection of its own, since the refusal may close it.
            let sent = self.once(http2, request);
            let judged = self.timed(Kind::Foreign, PATIENCE, sent, |it| {
                check::foreign(it.0, &it.1)
            });
            judged.await;
        } else {
            let sent = self.clients.send(request, http2);
            let judged = self.timed(Kind::Verify, PATIENCE, sent, |answer| {
                check::verify(answer.0, &answer.1, &user.name)
            });
            judged.await;
        }
    }

    /// The newest session that waits for its verify.
    fn session(&self) -> Option<(usize, String)> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.pop_back()
    }

    async fn once(
        &self,
        http2: bool,
        request: hyper::Request<requests::Pieces>,
    ) -> io::Result<Answer> {
        let mut client = self.clients.site().connect(NEWCOMER, http2).await?;
        Ok(client.send(request).await?)
    }

    /// Waits for a response, judges it, and counts it. Returns the right ones.
    async fn timed(
        &self,
        kind: Kind,
        patience: Duration,
        sent: impl Future<Output = io::Result<Answer>>,
        judge: impl FnOnce(&Answer) -> Judgement,
    ) -> Option<Answer> {
        let begun = Instant::now();
        let answer = timeout(patience, sent).await;
        let seconds = begun.elapsed().as_secs_f64();
        let (outcome, answer) = match answer {
            Err(_) => (Outcome::Lost("timeout".to_owned()), None),
            Ok(Err(error)) => (Outcome::Lost(error.to_string()), None),
            Ok(Ok(answer)) => match judge(&answer) {
                Judgement::Right => (Outcome::Served(seconds), Some(answer)),
                Judgement::Refused(status) => (Outcome::Lost(status.to_string()), None),
                Judgement::Wrong(what) => (Outcome::Wrong(what), None),
            },
        };
        self.samples().add(kind, outcome);
        answer
    }

    /// Users who come on connections of their own, until this is dropped.
    pub(crate) async fn newcomers(self: &Arc<Self>) {
        let mut ticks = interval(NEWCOMER_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0_usize.. {
            ticks.tick().await;
            let user = &self.users[number % self.users.len()];
            let http2 = number.is_multiple_of(2);
            let sent = self.once(http2, requests::session(&user.token, http2));
            let patience = match self.clients.site().patient {
                true => PATIENCE,
                false => SHORT_PATIENCE,
            };
            self.timed(Kind::Newcomer, patience, sent, |it| {
                check::session(it.0, &it.1)
            })
            .await;
        }
    }

    /// Users who send 2 MiB in five seconds each, again and again, until `end`.
    pub(crate) async fn slow_users(
        self: &Arc<Self>,
        count: usize,
        end: impl Fn() -> Instant + Clone + Send + 'static,
    ) {
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (load, end) = (Arc::clone(self), end.clone());
            tasks.spawn(async move {
                sleep_until(Instant::now() + SLOW_UPLOAD * number as u32 / count as u32).await;
                while Instant::now() + SLOW_UPLOAD < end() {
                    load.slow_user(number).await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn slow_user(&self, number: usize) {
        let user = &self.users[number % self.users.len()];
        let http2 = number.is_multiple_of(2);
        let upload = async {
            let mut client = self.clients.site().connect(NEWCOMER, http2).await?;
            let session = requests::session(&user.token, http2);
            let (status, body) = client.send(session).await?;
            let Some(session) = api::session_id(&body) else {
                return Ok((status, body));
            };
            let request = requests::verify(&user.token, http2, &session, &self.video);
            let request = request.map(|body| body.paced(SLOW_PARTS, SLOW_UPLOAD));
            Ok(client.send(request).await?)
        };
        let judged = self.timed(Kind::SlowUser, LONG_PATIENCE, upload, |answer| {
            check::verify(answer.0, &answer.1, &user.name)
        });
        if judged.await.is_none() {
            sleep_until(Instant::now() + Duration::from_millis(200)).await;
        }
    }
}
