//! A store that replies late: no request waits long for it, and a late reply is never taken for
//! another call's.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};

use super::{PACE, ask, replica, replica_at, until};
use crate::support::{
    Gateway, VERIFY, emulator,
    quota::{left, with_quota},
    redis::{self, Redis},
    routes,
    sealed::fresh,
    session,
    upstream::{self, Does, answer},
    verify_body, video,
};

const TIMEOUT: Duration = Duration::from_millis(100);

/// A proxy to a Redis that delays replies.
struct Delay {
    address: SocketAddr,
    times: Arc<Times>,
}

/// The delays, in milliseconds.
#[derive(Default)]
struct Times {
    each: AtomicU64,
    next: AtomicU64,
}

impl Delay {
    async fn before(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (port, times) = (redis.port, Arc::<Times>::default());
        let told = Arc::clone(&times);
        tokio::spawn(async move {
            while let Ok((front, _)) = listener.accept().await {
                let back = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(front, back, Arc::clone(&told)));
            }
        });
        Self { address, times }
    }

    fn set(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap();
        self.times.each.store(time, Ordering::SeqCst);
    }

    /// Delays the next reply alone.
    fn once(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap();
        self.times.next.store(time, Ordering::SeqCst);
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

/// Forwards requests at once, and replies later, in their order.
async fn carry(front: TcpStream, back: TcpStream, times: Arc<Times>) {
    let (mut from_gateway, mut to_gateway) = front.into_split();
    let (mut from_redis, mut to_redis) = back.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_gateway, &mut to_redis).await });
    let (late, mut due) = mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, bytes)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            if to_gateway.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from_redis.read(&mut bytes).await {
        let next = times.next.swap(0, Ordering::SeqCst);
        let delay = next.max(times.each.load(Ordering::SeqCst));
        let at = tokio::time::Instant::now() + Duration::from_millis(delay);
        if late.send((at, bytes[..read].to_vec())).is_err() {
            return;
        }
    }
}

/// A replica that reaches its store through this proxy.
async fn behind(delay: &Delay, upstream: SocketAddr, routes: &str) -> Gateway {
    let timeout = format!("timeout = \"{}ms\"", TIMEOUT.as_millis());
    let gateway = replica_at(upstream, &delay.url(), &timeout, routes).await;
    until(&gateway, "store_up 1").await;
    gateway
}

#[tokio::test]
async fn late_replies_cost_a_request_a_few_timeouts_and_then_no_request_waits() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let delay = Delay::before(&redis).await;
    let quota = with_quota("1000/day");
    let gateway = behind(&delay, qiniu, &quota).await;
    let id = session(&gateway).await;
    let body = verify_body(&id, &video(0));
    delay.set(20 * TIMEOUT);
    let began = Instant::now();
    let answer = gateway.post(false, VERIFY, body).await;
    let took = began.elapsed();
    assert_eq!(answer.json()["result"]["action_verify"], "pass");
    // Any three late replies in a row make the store unavailable. A verify waits a moment for it to
    // come back; the rest is for the verify itself on a busy machine.
    let most = 3 * TIMEOUT + PACE.recovery + Duration::from_secs(5);
    assert!(took >= TIMEOUT && took < most, "{took:?}");
    until(&gateway, "store_up 0").await;
    // Its replies are still late, so it is not asked.
    let mut shortest = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(ask(&gateway, "user-1").await.status, 200);
        shortest = shortest.min(began.elapsed());
    }
    assert!(shortest < TIMEOUT, "{shortest:?}");
    assert!(gateway.metrics().await.contains("store_up 0"));
    delay.set(Duration::ZERO);
    until(&gateway, "store_up 1").await;
}

#[tokio::test]
async fn a_late_reply_is_never_taken_for_the_reply_to_a_later_call() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let delay = Delay::before(&redis).await;
    let limited = routes().replace(
        "rate = \"1000/s\"\nburst = 1000\n",
        "rate = \"1/day\"\nburst = 120\n",
    );
    let gateway = behind(&delay, qiniu, &limited).await;
    // Through another replica the first user has used up much of the rate, and the second user
    // nothing.
    let other = replica(qiniu, &redis, &limited).await;
    until(&other, "store_up 1").await;
    for _ in 0..60 {
        assert_eq!(ask(&other, "user-1").await.status, 200);
    }
    let mut late = 0;
    for asked in 1..=5 {
        // A late heartbeat may have made the store unavailable.
        until(&gateway, "store_up 1").await;
        // This reply arrives while the next call waits for its own.
        delay.set(TIMEOUT * 3 / 2);
        let began = Instant::now();
        assert_eq!(ask(&gateway, "user-1").await.status, 200);
        late += u32::from(began.elapsed() >= TIMEOUT);
        delay.set(Duration::ZERO);
        let answer = ask(&gateway, "user-2").await;
        // The first user has less than 60 left. Where the store was unavailable in between, it has
        // not counted that request of the second user.
        let left = answer
            .header("ratelimit")
            .split_once("\"user\";r=")
            .unwrap();
        let left: u32 = left.1.split_once(';').unwrap().0.parse().unwrap();
        assert!((120 - asked..120).contains(&left), "{asked} {answer:?}");
    }
    assert!(late >= 3, "{late}");
}

#[tokio::test]
async fn everything_is_published_in_time_to_a_distant_store_that_lost_its_data() {
    const SESSIONS: usize = 40;
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let delay = Delay::before(&redis).await;
    let wide = routes().replace("concurrent_per_user = 1\n", "");
    let one = behind(&delay, qiniu, &wide).await;
    let other = replica(qiniu, &redis, &wide).await;
    until(&other, "store_up 1").await;
    let mut bodies = Vec::new();
    for _ in 0..SESSIONS {
        let body = verify_body(&session(&one).await, &video(0));
        assert_eq!(one.post(false, VERIFY, body.clone()).await.status, 200);
        bodies.push(body);
    }
    // Published one after the other they would take longer than uploads wait.
    delay.set(Duration::from_millis(50));
    redis.ask(&["FLUSHALL"]).await;
    for body in bodies {
        let answer = other.post(false, VERIFY, body).await;
        assert_eq!(answer.json()["result"]["action_verify"], "pass");
    }
    assert_eq!(handle.verify_calls(), SESSIONS as u64);
}

#[tokio::test]
async fn a_call_is_returned_although_the_store_was_late_to_reply_that_it_lost_the_script() {
    if !redis::is_there() {
        return;
    }
    let gate = Arc::new(Semaphore::new(0));
    let busy = answer("503 X", "{}");
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), busy)).await;
    let redis = Redis::start().await;
    let delay = Delay::before(&redis).await;
    let (timeout, quota) = ("timeout = \"2s\"", with_quota("5/day"));
    let gateway = replica_at(qiniu.address, &delay.url(), timeout, &quota).await;
    until(&gateway, "store_up 1").await;
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let (refused, counts) = tokio::join!(gateway.post(false, VERIFY, body), async {
        qiniu.until_requests(1).await;
        let counts = redis.keys("{liveness-gateway}:quota:*").await;
        assert_eq!(redis.ask(&["HGET", &counts[0], "n"]).await, [b"1"]);
        redis.ask(&["SCRIPT", "FLUSH"]).await;
        delay.once(Duration::from_millis(2500));
        gate.add_permits(1);
        counts
    });
    assert_eq!(left(&refused), 5, "{refused:?}");
    assert_eq!(redis.ask(&["HGET", &counts[0], "n"]).await, [b"0"]);
}
