//! Connections of which one side is closed: they take no processor time, and keep no place longer
//! than their timeouts.

use std::{net::SocketAddr, time::Duration};

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

/// How long the threads of this process have run or waited for a processor (`schedstat` of each;
/// on a loaded machine, a thread that spins mostly waits).
fn busy_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = threads.map(|thread| {
        // A thread may just have ended.
        let stat = std::fs::read_to_string(thread.unwrap().path().join("schedstat"));
        let stat = stat.unwrap_or_default();
        let times = stat
            .split(' ')
            .take(2)
            .filter_map(|time| time.parse::<u64>().ok());
        times.sum::<u64>()
    });
    Duration::from_nanos(nanoseconds.sum())
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
        let before = busy_time();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let busy = busy_time().saturating_sub(before);
        assert!(
            busy < Duration::from_millis(600),
            "a connection spins: {busy:?} of a second, closed by peers: {closes}"
        );
        // The peers never close their other side, and no connection is kept for that.
        gateway.until_metrics_have("connections 0").await;
        drop(peers);
    }
}
