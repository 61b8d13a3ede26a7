//! A real cluster of three primaries and a replica of the second. The first has the slot of all
//! keys of the gateway.

use super::{Redis, free_port};

/// A key of the gateway's slot.
const KEY: &str = "{liveness-gateway}:epoch";

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
    slot: String,
}

impl Cluster {
    /// A cluster that has existed for long.
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..4 {
            let bus = free_port().to_string();
            nodes.push(Redis::start_with(&options(&bus)).await);
            buses.push(bus);
        }
        // A primary without a slot has no vote.
        for (node, ranges) in nodes.iter().zip([["2", "16383"], ["0", "0"], ["1", "1"]]) {
            let [first, last] = ranges;
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        }
        for (number, node) in nodes.iter().enumerate() {
            let epoch = (number + 1).to_string();
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let port = node.port.to_string();
            nodes[0]
                .ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus])
                .await;
        }
        let slot = nodes[0].ask(&["CLUSTER", "KEYSLOT", KEY]).await.concat();
        let slot = String::from_utf8(slot).unwrap();
        let cluster = Self { nodes, slot };
        for node in &cluster.nodes {
            until(node, "cluster_known_nodes:4").await;
            until(node, "cluster_state:ok").await;
        }
        let second = id(&cluster.nodes[1]).await;
        while cluster.nodes[3]
            .ask(&["CLUSTER", "REPLICATE", &second])
            .await
            != [b"OK"]
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let replicates = cluster.nodes[1].until_info("replication", "state=online");
        replicates.await;
        cluster.nodes[0].remembers_since(1).await;
        cluster
    }

    /// A URL that names the first node alone.
    pub(crate) fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.nodes[0].port)
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
        let port = self.nodes[1].port.to_string();
        let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
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

fn options(bus: &str) -> Vec<&str> {
    let options = "--cluster-enabled yes --cluster-node-timeout 500 \
                   --cluster-require-full-coverage no --cluster-replica-validity-factor 0 \
                   --repl-diskless-sync-delay 0 --cluster-port";
    options.split_whitespace().chain([bus]).collect()
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
