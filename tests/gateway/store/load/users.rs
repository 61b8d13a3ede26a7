//! Users as their phones are: they lose connections, send the same again, twice at once, and come back later when told to.

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

/// Between a broken connection and the next.
const PAUSE: Duration = Duration::from_millis(10);
/// How often the greedy one asks, each time several at once.
const GREED: Duration = Duration::from_millis(12);

/// What users see, and what they were put up with.
pub(super) struct World {
    /// As a load balancer knows them: those that are ready.
    replicas: [Mutex<SocketAddr>; 2],
    signer: Mutex<Arc<Signer>>,
    provider: Provider,
    over: AtomicBool,
    /// What the greedy one asked for.
    asked: Mutex<Vec<Asked>>,
    /// Connections that were refused or broken, and answers of 503.
    pub(super) again: [AtomicUsize; 2],
}

/// A user; `roaming`: the same video goes to both replicas at once, else to one as long as it can be reached.
pub(super) struct User {
    pub(super) name: String,
    pub(super) home: usize,
    pub(super) roaming: bool,
    pub(super) video: Arc<Vec<u8>>,
    pub(super) ended: Arc<AtomicUsize>,
}

/// A session that the greedy one asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Whether it was granted; nothing if there was no answer.
    pub(super) passed: Option<bool>,
}

/// What came of one session.
pub(super) struct Attempt {
    pub(super) roaming: bool,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Qiniu's answers that the user saw, by their `serverlogid`, which is each call's own: what they say.
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

    /// Who signs tokens from now on.
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

    /// One exchange with the replica; nothing when the connection was refused or broke.
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
        // A set, because it ends the connection when this is given up.
        let mut open = JoinSet::new();
        open.spawn(connection);
        let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
        Some(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.ok()?.to_bytes(),
        })
    }

    /// The first answer that is none of "later": after a connection that was refused or broke, and after as long as a 503
    /// says, the other replica is asked the same.
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
    /// Session after session, until it is over.
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
        // The first try loses its connection at any time: before the call, in it, or not at all.
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

/// Asks for sessions far oftener than the rate, and never waits.
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
