//! Users as phones behave: they lose connections, retry, retry twice at once, and come back after
//! `Retry-After`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use crate::support::{
    Answer, SESSIONCODE, VERIFY,
    identity::{Provider, Signer},
    verify_body,
};

/// Between a broken connection and the next one.
const PAUSE: Duration = Duration::from_millis(10);
/// Between two requests of each task of the greedy user.
const GREED: Duration = Duration::from_millis(12);

/// What users share, and what they experienced.
pub(super) struct World {
    /// The replicas that are ready, as a load balancer knows them.
    replicas: [Mutex<SocketAddr>; 2],
    signer: Mutex<Arc<Signer>>,
    provider: Provider,
    over: AtomicBool,
    /// The requests of the greedy user.
    asked: Mutex<Vec<Asked>>,
    /// Connections that were refused or broke, and 503 responses.
    pub(super) again: [AtomicUsize; 2],
}

/// A user. If `roaming`, the same video goes to both replicas at once, otherwise to one as long as
/// it can be reached.
pub(super) struct User {
    pub(super) name: String,
    pub(super) home: usize,
    pub(super) roaming: bool,
    pub(super) video: Arc<Vec<u8>>,
    pub(super) ended: Arc<AtomicUsize>,
}

/// A session that the greedy user requested.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Whether it was granted; `None` without a response.
    pub(super) passed: Option<bool>,
}

/// The result of one session.
pub(super) struct Attempt {
    pub(super) roaming: bool,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// The responses that the user saw, by their `serverlogid`, which is unique to each call.
    pub(super) answers: BTreeMap<u64, Bytes>,
}

impl World {
    pub(super) fn new(replicas: [SocketAddr; 2], provider: Provider, signer: Signer) -> Arc<Self> {
        Arc::new(Self {
            replicas: replicas.map(Mutex::new),
            signer: Mutex::new(Arc::new(signer)),
            provider,
            over: AtomicBool::new(false),
            asked: Mutex::default(),
            again: Default::default(),
        })
    }

    pub(super) fn is_at(&self, replica: usize, address: SocketAddr) {
        *self.replicas[replica].lock().unwrap() = address;
    }

    /// Signs tokens with this key from now on.
    pub(super) fn signs(&self, signer: Signer) {
        *self.signer.lock().unwrap() = Arc::new(signer);
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// One exchange with the replica; `None` if the connection was refused or broke.
    async fn exchange(
        &self,
        replica: usize,
        user: &str,
        path: &str,
        body: Bytes,
    ) -> Option<Answer> {
        let address = *self.replicas[replica % 2].lock().unwrap();
        let token = Arc::clone(&self.signer.lock().unwrap()).token(&self.provider, user);
        let request = Request::post(path)
            .header("host", address.to_string())
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(body))
            .unwrap();
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        // A `JoinSet`, because it ends the connection task when this future is dropped.
        let mut open = JoinSet::new();
        open.spawn(connection);
        let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
        Some(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.ok()?.to_bytes(),
        })
    }

    /// The first response that is not a 503. After a connection that was refused or broke, and
    /// after the `Retry-After` of a 503, the other replica is tried.
    async fn answer(&self, first: usize, user: &str, path: &str, body: &Bytes) -> Answer {
        let mut replica = first;
        loop {
            match self.exchange(replica, user, path, body.clone()).await {
                None => {
                    self.again[0].fetch_add(1, Ordering::SeqCst);
                    sleep(PAUSE).await;
                }
                Some(answer) if answer.status == 503 => {
                    self.again[1].fetch_add(1, Ordering::SeqCst);
                    let wait = answer.header("retry-after").parse().expect("Retry-After");
                    sleep(Duration::from_secs(wait)).await;
                }
                Some(answer) => return answer,
            }
            replica += 1;
        }
    }
}

impl User {
    /// Makes one attempt after another until the end.
    pub(super) async fn live(self, world: Arc<World>) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        while !world.is_over() {
            attempts.push(self.attempt(&world, attempts.len()).await);
            self.ended.fetch_add(1, Ordering::SeqCst);
        }
        attempts
    }

    async fn attempt(&self, world: &World, number: usize) -> Attempt {
        let ask = |replica, path, body| world.answer(replica, &self.name, path, body);
        let nothing = Bytes::from_static(b"{}");
        let session = ask(self.home, SESSIONCODE, &nothing).await;
        assert_eq!(session.status, 200, "{session:?}");
        let id = session.json()["result"]["session_id"].clone();
        let body = Bytes::from(verify_body(id.as_str().unwrap(), &self.video));
        let began = Instant::now();
        // The first upload loses its connection at any time: before the call, during it, or not at
        // all.
        let network = Duration::from_millis((number as u64 * 37) % 150);
        let first = tokio::time::timeout(network, ask(self.home, VERIFY, &body));
        let mut tries: Vec<_> = first.await.into_iter().collect();
        let elsewhere = self.home + usize::from(self.roaming);
        let (second, third) =
            tokio::join!(ask(self.home, VERIFY, &body), ask(elsewhere, VERIFY, &body));
        tries.extend([second, third]);
        let mut answers = BTreeMap::new();
        for it in tries {
            assert_eq!(it.status, 200, "{it:?}");
            let call = it.json()["serverlogid"].as_u64().unwrap();
            let before = answers.insert(call, it.body.clone());
            assert!(before.is_none_or(|before| before == it.body), "{it:?}");
        }
        Attempt {
            roaming: self.roaming,
            began,
            ended: Instant::now(),
            answers,
        }
    }
}

/// Requests sessions far more often than the rate allows, and never waits.
pub(super) async fn be_greedy(world: Arc<World>) {
    for turn in 0.. {
        if world.is_over() {
            break;
        }
        let began = Instant::now();
        let asked = world.exchange(turn, "greedy", SESSIONCODE, Bytes::from_static(b"{}"));
        let passed = asked.await.map(|answer| {
            let passed = answer.status == 200;
            assert!(passed || answer.code() == "rate_limited", "{answer:?}");
            passed
        });
        world.asked.lock().unwrap().push(Asked {
            began,
            ended: Instant::now(),
            passed,
        });
        sleep(GREED).await;
    }
}
