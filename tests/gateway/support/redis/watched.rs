//! A primary and a replica, watched by one real sentinel, which is enough to promote the replica.

use std::time::{Duration, Instant};

use super::{Redis, certificate::ServerCertificate, documented, documented_user, free_port};

/// The longest that a failover takes.
const LIMIT: Duration = Duration::from_secs(30);

/// The servers that a sentinel watches, each as the other's replica or primary.
pub(crate) struct Watched {
    pub(crate) servers: [Redis; 2],
    sentinel: Redis,
    /// The port of the second server for the others and the gateway.
    second: u16,
    url: String,
}

impl Watched {
    /// A primary that has existed for long, and its replica; with a certificate, all connections
    /// between them and from the gateway use TLS.
    pub(crate) async fn start(tls: Option<&ServerCertificate>) -> Self {
        // The gateway's port of each server and of the sentinel, where it is not the tests' own.
        let secured: Vec<u16> = tls
            .iter()
            .flat_map(|_| [0; 3])
            .map(|_| free_port())
            .collect();
        let user = documented_user(&["--repl-diskless-sync-delay", "0"]);
        let one = Redis::start_with(&options(tls, secured.first(), &user)).await;
        let port = secured.first().unwrap_or(&one.port).to_string();
        let replicates = [&user, &["--replicaof", "127.0.0.1", &port][..]].concat();
        let other = Redis::start_with(&options(tls, secured.get(1), &replicates)).await;
        one.until_info("replication", "state=online").await;
        one.remembers_since(1).await;
        let watch = format!(
            "sentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 200\n\
             sentinel failover-timeout main 2000\n"
        );
        let watcher = [
            "--user",
            "watcher",
            "on",
            ">OWN",
            documented("+sentinel|master"),
        ];
        let watcher = options(tls, secured.get(2), &watcher);
        let sentinel = Redis::start_from(Some(&watch), &watcher).await;
        // A processor that is not given to it for a while is no reason to do nothing for 30 s.
        let hurry = "SENTINEL DEBUG info-period 50 ping-period 50 ask-period 50 publish-period 50 \
                     tilt-trigger 60000";
        let hurry: Vec<_> = hurry.split_whitespace().collect();
        assert_eq!(sentinel.ask(&hurry).await, [b"OK"]);
        sentinel.until_info("sentinel", "slaves=1").await;
        Self {
            url: url(tls, secured.get(2).copied().unwrap_or(sentinel.port)),
            second: secured.get(1).copied().unwrap_or(other.port),
            servers: [one, other],
            sentinel,
        }
    }

    /// A URL whose first sentinel does not exist.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Which server the sentinel knows as the primary.
    pub(crate) async fn primary(&self) -> usize {
        let named = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
        let named = self.sentinel.ask(&named).await;
        let port: u16 = str::from_utf8(&named[1]).unwrap().parse().unwrap();
        usize::from(self.second == port)
    }

    /// The permissions that the documentation lists were enough, as far as the servers live.
    pub(crate) async fn nothing_was_denied(&self) {
        let alive = self.servers.iter().filter(|server| server.is_running());
        for server in alive.chain([&self.sentinel]) {
            assert_eq!(server.denied().await, Vec::<String>::new());
        }
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

fn url(tls: Option<&ServerCertificate>, port: u16) -> String {
    let scheme = if tls.is_some() { "rediss" } else { "redis" };
    format!(
        "{scheme}+sentinel://gateway:PASSWORD@127.0.0.1:{},127.0.0.1:{port}/main\
         ?sentinel_user=watcher&sentinel_password=OWN",
        free_port()
    )
}

/// The options of a server, with TLS on this port.
fn options(tls: Option<&ServerCertificate>, port: Option<&u16>, more: &[&str]) -> Vec<String> {
    let mut options = Vec::new();
    options.extend(more.iter().map(|&word| word.to_owned()));
    if let (Some(certificate), Some(port)) = (tls, port) {
        options.extend(certificate.options(*port));
        options.extend(["--tls-replication", "yes"].map(str::to_owned));
    }
    options
}
