//! Connections of which one side is closed: they take no processor time, and keep no place longer
//! than their timeouts.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::support::{ACCESS_KEY, Gateway, SECRET_KEY, SESSIONCODE, own_process, raw, routes};
use liveness_gateway::{
    emulator::{Emulator, EmulatorSettings, Scenario},
    secret::Secret,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// What a peer has sent when it falls silent or closes its side.
fn beginnings() -> Vec<(&'static str, String)> {
    let head = |lines| raw::head("u", SESSIONCODE, lines);
    let good = raw::whole("u", SESSIONCODE, "{}");
    vec![
        ("nothing", String::new()),
        ("an empty line", "\r\n".into()),
        ("half a request line", "POST /v2".into()),
        ("half a head", "POST / HTTP/1.1\r\nHost: g\r\n".into()),
        ("half a preface", "PRI * HTTP/2.0\r\n".into()),
        ("a preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("half a body", head("Content-Length: 20") + "{"),
        (
            "half a chunk",
            head("Transfer-Encoding: chunked") + "5\r\n{",
        ),
        (
            "half a trailer",
            head("Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\nX",
        ),
        (
            "no body yet",
            head("Expect: 100-continue\r\nContent-Length: 2"),
        ),
        ("a broken head", good.replace("Host: g", "Host : g")),
        ("a bare LF", good.replace("\r\n", "\n")),
        (
            "an unknown path",
            "GET / HTTP/1.1\r\nHost: g\r\n\r\n".into(),
        ),
        ("a request", good.clone()),
        ("two requests", good.repeat(2)),
        ("a request and a half", good.clone() + "POST"),
        (
            "a request and a broken one",
            good.clone() + "POST /#x HTTP/1.1\r\n\r\n",
        ),
        ("a request and a bare LF", good.clone() + "\n"),
    ]
}

/// An emulator whose responses take a second and a half.
async fn slow_emulator() -> SocketAddr {
    let emulator = Emulator::bind(EmulatorSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        access_key: Secret::new(ACCESS_KEY),
        secret_key: Secret::new(SECRET_KEY),
        second_keys: None,
        scenario: Scenario::Pass,
        latency: Duration::from_millis(1500),
    });
    let emulator = emulator.await.unwrap();
    let address = emulator.address();
    tokio::spawn(emulator.run(std::future::pending()));
    address
}

/// How long the other threads of this process have run, and this one (`schedstat` of each).
fn run_times() -> [Duration; 2] {
    let this = std::fs::read_link("/proc/thread-self").unwrap();
    let mut times = [Duration::ZERO; 2];
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = thread.unwrap().path();
        // Another thread may just have ended.
        let stat = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        let time = stat.split(' ').next().and_then(|time| time.parse().ok());
        let is_this = path.file_name() == this.file_name();
        times[usize::from(is_this)] += Duration::from_nanos(time.unwrap_or_default());
    }
    times
}

/// Spins for half a second. Returns how long the other threads have run meanwhile, and how long
/// this one: about as long as any that spins, however busy the machine is.
fn spin() -> [Duration; 2] {
    let (before, end) = (run_times(), Instant::now() + Duration::from_millis(500));
    while Instant::now() < end {}
    let after = run_times();
    [0, 1].map(|at| after[at].saturating_sub(before[at]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_connections_neither_spin_nor_stay() {
    let name = "strict::half_closed::half_closed_connections_neither_spin_nor_stay";
    if !own_process::is_here(name) {
        return;
    }
    // Requests are under way while the processor is watched.
    let qiniu = slow_emulator().await;
    let timeouts = "head_timeout = \"1s\"\nidle_timeout = \"1s\"";
    let gateway = Gateway::start(qiniu, timeouts, &routes()).await;
    // Silent peers whose requests are complete, or whose body may take longer, are no part of
    // this: their requests have timeouts of their own.
    let silent = |label: &str| {
        !label.contains("body") && !label.contains("chunk") && !label.contains("trailer")
    };
    for closes in [true, false] {
        let mut peers = Vec::new();
        for (label, text) in beginnings() {
            if closes || silent(label) {
                let mut peer = TcpStream::connect(gateway.address).await.unwrap();
                peer.write_all(text.as_bytes()).await.unwrap();
                if closes {
                    peer.shutdown().await.unwrap();
                }
                peers.push(peer);
            }
        }
        // Once all has been read, nothing is left to do but to wait.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let [busy, spun] = tokio::task::spawn_blocking(spin).await.unwrap();
        assert!(
            busy < spun / 2,
            "a connection spins: {busy:?}, a thread that does: {spun:?}, closed by peers: {closes}"
        );
        // The peers never close their other side, and no connection is kept for that.
        gateway.until_metrics_have("connections 0").await;
        drop(peers);
    }
}
