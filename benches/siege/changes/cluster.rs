//! A store that is a cluster: three primaries and a replica of the first, which has nearly all
//! slots, on loopback ports. A node that was killed comes back as a replica.
//!
//! Relies on the same program as [`super::store`]. Each node keeps its table of the cluster in a
//! temporary folder, and nothing else on disk.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{
        folder::TemporaryFolder,
        process::{Process, free_address},
        rig::launch,
    },
    store,
};

/// The slots of the three primaries.
const SLOTS: [[&str; 2]; 3] = [["2", "16383"], ["0", "0"], ["1", "1"]];
/// The first primary and its replica, which take turns.
const TURNS: [usize; 2] = [0, 3];
const START: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The running cluster. Dropping it ends it.
pub(super) struct Cluster {
    program: String,
    core: Option<usize>,
    nodes: Vec<Node>,
    /// Which of the two of [`TURNS`] is the primary.
    primary: usize,
    folder: TemporaryFolder,
}

struct Node {
    address: SocketAddr,
    bus: u16,
    process: Option<Process>,
}

impl Cluster {
    /// `None` if the program is not installed.
    pub(super) fn start(core: Option<usize>) -> io::Result<Option<Self>> {
        let Some(program) = store::program() else {
            return Ok(None);
        };
        let mut nodes = Vec::new();
        for _ in 0..=SLOTS.len() {
            nodes.push(Node {
                address: free_address()?,
                bus: free_address()?.port(),
                process: None,
            });
        }
        let folder = TemporaryFolder::create(&format!("cluster-{}", nodes[0].bus))?;
        let mut cluster = Self {
            program,
            core,
            nodes,
            primary: 0,
            folder,
        };
        for number in 0..cluster.nodes.len() {
            cluster.launch(number)?;
        }
        cluster.join()?;
        Ok(Some(cluster))
    }

    pub(super) fn url(&self) -> String {
        let hosts = self.nodes.iter().map(|node| node.address.to_string());
        format!("redis+cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }

    /// Kills the primary of the gateway's slot. The others make its replica the primary.
    pub(super) fn kill_primary(&mut self) {
        self.nodes[TURNS[self.primary]].process = None;
        self.primary = 1 - self.primary;
    }

    /// Starts the killed node anew, and waits until it is a replica in step with its primary.
    pub(super) fn repair(&mut self) -> io::Result<()> {
        let number = TURNS[1 - self.primary];
        self.launch(number)?;
        self.until(number, &["INFO", "replication"], "master_link_status:up")
    }

    /// Makes one cluster of the nodes.
    fn join(&self) -> io::Result<()> {
        for (number, [first, last]) in SLOTS.iter().enumerate() {
            self.ask(number, &["CLUSTER", "ADDSLOTSRANGE", first, last])?;
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let epoch = (number + 1).to_string();
            self.ask(number, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
            let (port, bus) = (node.address.port().to_string(), node.bus.to_string());
            self.ask(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        for number in 0..self.nodes.len() {
            self.until(number, &["CLUSTER", "INFO"], "cluster_known_nodes:4")?;
            self.until(number, &["CLUSTER", "INFO"], "cluster_state:ok")?;
        }
        let (replica, id) = (TURNS[1], self.ask(TURNS[0], &["CLUSTER", "MYID"])?);
        self.until(replica, &["CLUSTER", "REPLICATE", &id], "OK")?;
        self.until(replica, &["INFO", "replication"], "master_link_status:up")
    }

    fn launch(&mut self, number: usize) -> io::Result<()> {
        let node = &mut self.nodes[number];
        let bus = node.bus.to_string();
        let table = format!("nodes-{bus}.conf");
        let folder = self.folder.path().display().to_string();
        let options = "--cluster-enabled yes --cluster-node-timeout 500 \
                       --cluster-require-full-coverage no --cluster-replica-validity-factor 0 \
                       --repl-diskless-sync-delay 0";
        let mut arguments = store::arguments(node.address, &folder);
        arguments.extend(options.split_whitespace().map(str::to_owned));
        arguments
            .extend(["--cluster-port", &bus, "--cluster-config-file", &table].map(str::to_owned));
        let plan = store::plan(&self.program, self.core, arguments);
        node.process = Some(launch(&plan, node.address)?);
        Ok(())
    }

    /// Asks a node until its reply has this part.
    fn until(&self, number: usize, words: &[&str], part: &str) -> io::Result<()> {
        let started = Instant::now();
        loop {
            let reply = self.ask(number, words).unwrap_or_default();
            if reply.contains(part) {
                return Ok(());
            }
            if started.elapsed() > START {
                return Err(io::Error::other(format!(
                    "the cluster has no {part}: {reply}"
                )));
            }
            thread::sleep(ASK_AGAIN);
        }
    }

    /// The reply of a node: a simple or a bulk string.
    fn ask(&self, number: usize, words: &[&str]) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.nodes[number].address)?;
        stream.set_read_timeout(Some(START))?;
        // An inline command: https://redis.io/docs/latest/develop/reference/protocol-spec/
        stream.write_all(format!("{}\r\n", words.join(" ")).as_bytes())?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("$", length)) => {
                let mut reply = vec![0; length.parse().map_err(io::Error::other)?];
                stream.read_exact(&mut reply)?;
                String::from_utf8(reply).map_err(io::Error::other)
            }
            Some(("+", reply)) => Ok(reply.to_owned()),
            _ => Err(io::Error::other(format!("{}: {line}", words.join(" ")))),
        }
    }
}
