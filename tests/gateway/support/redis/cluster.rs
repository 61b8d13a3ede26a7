//! A real cluster of three primaries and a replica of the second. The first has the slot of all
//! keys of the gateway.

use super::{Redis, certificate::ServerCertificate, documented, documented_user, free_port};

/// A key of the gateway's slot.
const KEY: &str = "{liveness-gateway}:epoch";

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
    /// The port of each for the gateway and for the other nodes.
    ports: Vec<String>,
    slot: String,
    scheme: &'static str,
}

impl Cluster {
    /// A cluster that has existed for long; with a certificate, all connections between its nodes
    /// and from the gateway use TLS.
    pub(crate) async fn start(tls: Option<&ServerCertificate>) -> Self {
        let [buses, secured] = [(); 2].map(|()| [(); 4].map(|()| free_port()));
        let node = async |number: usize| {
            let options = options(tls, buses[number], secured[number]);
            Redis::start_with(&options).await
        };
        let (one, two, three, four) = tokio::join!(node(0), node(1), node(2), node(3));
        let nodes = vec![one, two, three, four];
        let ports = nodes.iter().zip(secured).map(|(node, secured)| match tls {
            Some(_) => secured.to_string(),
            None => node.port.to_string(),
        });
        let ports: Vec<_> = ports.collect();
        // A primary without a slot has no vote.
        for (node, ranges) in nodes.iter().zip([["2", "16383"], ["0", "0"], ["1", "1"]]) {
            let [first, last] = ranges;
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        }
        for (number, node) in nodes.iter().enumerate() {
            let epoch = (number + 1).to_string();
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            // Each meets each: what they tell each other of others takes seconds.
            for (port, bus) in ports.iter().zip(buses).skip(number + 1) {
                let bus = bus.to_string();
                node.ask(&["CLUSTER", "MEET", "127.0.0.1", port, &bus])
                    .await;
            }
        }
        let slot = nodes[0].ask(&["CLUSTER", "KEYSLOT", KEY]).await.concat();
        let cluster = Self {
            nodes,
            ports,
            slot: String::from_utf8(slot).unwrap(),
            scheme: if tls.is_some() { "rediss" } else { "redis" },
        };
        for node in &cluster.nodes {
            until(node, "cluster_known_nodes:4").await;
        }
        let second = id(&cluster.nodes[1]).await;
        while cluster.nodes[3]
            .ask(&["CLUSTER", "REPLICATE", &second])
            .await
            != [b"OK"]
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        // A node that has just started takes no calls for two seconds.
        for node in &cluster.nodes {
            until(node, "cluster_state:ok").await;
        }
        cluster.nodes[0].remembers_since(1).await;
        cluster
    }

    /// A URL that names the first node alone.
    pub(crate) fn url(&self) -> String {
        let Self { scheme, ports, .. } = self;
        format!("{scheme}+cluster://gateway:PASSWORD@127.0.0.1:{}", ports[0])
    }

    /// Kills the primary that has the slot after the move, and the node of the URL. The replica
    /// takes over at once: that the others need seconds to agree on it is not the gateway's.
    pub(crate) async fn kill(&mut self) {
        let replicates = self.nodes[1].until_info("replication", "state=online");
        replicates.await;
        self.nodes[1].kill();
        self.nodes[0].kill();
        let words = ["CLUSTER", "FAILOVER", "TAKEOVER"];
        assert_eq!(self.nodes[3].ask(&words).await, [b"OK"]);
    }

    /// Begins to move the slot from the first node to the second.
    pub(crate) async fn begin_move(&self) {
        let ids = [id(&self.nodes[0]).await, id(&self.nodes[1]).await];
        self.set_slot(1, &["IMPORTING", &ids[0]]).await;
        self.set_slot(0, &["MIGRATING", &ids[1]]).await;
    }

    /// Moves this many keys at most. Returns how many there were.
    pub(crate) async fn move_keys(&self, most: usize) -> usize {
        let most = most.to_string();
        let words = ["CLUSTER", "GETKEYSINSLOT", &self.slot, &most];
        let keys = self.nodes[0].ask(&words).await;
        if keys.is_empty() {
            return 0;
        }
        let port = &self.ports[1];
        let mut words = vec!["MIGRATE", "127.0.0.1", port, "", "0", "5000", "KEYS"];
        words.extend(keys.iter().map(|key| str::from_utf8(key).unwrap()));
        let moved = self.nodes[0].ask(&words).await.concat();
        let moved = String::from_utf8(moved).unwrap();
        assert!(matches!(moved.as_str(), "OK" | "NOKEY"), "{moved}");
        keys.len()
    }

    /// Completes the move.
    pub(crate) async fn end_move(&self) {
        let second = id(&self.nodes[1]).await;
        for number in [1, 0] {
            self.set_slot(number, &["NODE", &second]).await;
        }
    }

    async fn set_slot(&self, number: usize, what: &[&str]) {
        let words = [&["CLUSTER", "SETSLOT", &self.slot], what].concat();
        assert_eq!(self.nodes[number].ask(&words).await, [b"OK"]);
    }
}

fn options(tls: Option<&ServerCertificate>, bus: u16, secured: u16) -> Vec<String> {
    let options = "--cluster-enabled yes --cluster-node-timeout 5000 \
                   --cluster-require-full-coverage no --cluster-replica-validity-factor 0 \
                   --repl-diskless-sync-delay 0 --cluster-port";
    let mut options: Vec<_> = options.split_whitespace().map(str::to_owned).collect();
    options.push(bus.to_string());
    let user = documented_user(&[documented("+asking"), documented("+cluster|slots")]);
    options.extend(user.into_iter().map(str::to_owned));
    if let Some(certificate) = tls {
        options.extend(certificate.options(secured));
        let encrypt = ["--tls-cluster", "yes", "--tls-replication", "yes"];
        options.extend(encrypt.map(str::to_owned));
    }
    options
}

async fn until(node: &Redis, part: &str) {
    for _ in 0..4000 {
        let info = node.ask(&["CLUSTER", "INFO"]).await.concat();
        if String::from_utf8_lossy(&info).contains(part) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("never {part}");
}

async fn id(node: &Redis) -> String {
    String::from_utf8(node.ask(&["CLUSTER", "MYID"]).await.concat()).unwrap()
}
