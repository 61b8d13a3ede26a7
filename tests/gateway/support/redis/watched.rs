//! A primary and a replica, watched by one real sentinel, which is enough to promote the replica.

use std::time::{Duration, Instant};

use super::{Redis, free_port};

/// The longest that a failover takes: a sentinel that was not given the processor for 2 s does
/// nothing for 30 s.
const LIMIT: Duration = Duration::from_secs(60);

/// The servers that a sentinel watches, each as the other's replica or primary.
pub(crate) struct Watched {
    pub(crate) servers: [Redis; 2],
    pub(crate) sentinel: Redis,
}

impl Watched {
    /// A primary that has existed for long, and its replica, with these options.
    pub(crate) async fn start(more: &[&str]) -> Self {
        let fast = [&["--repl-diskless-sync-delay", "0"], more].concat();
        let one = Redis::start_with(&fast).await;
        let port = one.port.to_string();
        let replica = [&fast, &["--replicaof", "127.0.0.1", &port][..]].concat();
        let other = Redis::start_with(&replica).await;
        one.until_info("replication", "state=online").await;
        one.remembers_since(1).await;
        let watch = format!(
            "sentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 200\n\
             sentinel failover-timeout main 2000\n"
        );
        let sentinel = Redis::start_from(Some(&watch), &[]).await;
        sentinel.until_info("sentinel", "slaves=1").await;
        Self {
            servers: [one, other],
            sentinel,
        }
    }

    /// A URL whose first sentinel does not exist.
    pub(crate) fn url(&self) -> String {
        let (nobody, sentinel) = (free_port(), self.sentinel.port);
        format!("redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{sentinel}/main")
    }

    /// Which server the sentinel knows as the primary.
    pub(crate) async fn primary(&self) -> usize {
        let named = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
        let named = self.sentinel.ask(&named).await;
        let port: u16 = str::from_utf8(&named[1]).unwrap().parse().unwrap();
        usize::from(self.servers[1].port == port)
    }

    /// Demotes the primary for the replica. Returns the new primary.
    pub(crate) async fn demote(&self) -> usize {
        let before = self.primary().await;
        let end = Instant::now() + LIMIT;
        while self.primary().await == before {
            assert!(Instant::now() < end, "no failover");
            // Refused while one is under way. One that takes too long is given up.
            self.sentinel.ask(&["SENTINEL", "FAILOVER", "main"]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        1 - before
    }

    /// Kills the primary. Returns the one that takes over.
    pub(crate) async fn kill(&mut self) -> usize {
        let before = self.primary().await;
        self.servers[before].kill();
        let end = Instant::now() + LIMIT;
        while self.primary().await == before {
            assert!(Instant::now() < end, "no failover");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        1 - before
    }
}
