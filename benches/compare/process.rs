//! The programs that are measured: started on their cores, watched through `/proc`, and ended whatever happens.
//!
//! Ends only what it started, by process id.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const START: Duration = Duration::from_secs(10);
/// Of util-linux, as `taskset`.
const SETPRIV: &str = "/usr/bin/setpriv";
const STOP: Duration = Duration::from_secs(3);

/// The processor cores at hand: proxies have the first, the generator and the upstream the last.
#[derive(Debug)]
pub(crate) struct Cores {
    all: Vec<usize>,
    pub(crate) proxy: usize,
    pub(crate) rig: usize,
    /// `taskset` is there.
    pub(crate) pinned: bool,
}

impl Cores {
    /// Also moves this process to its own.
    pub(crate) fn share_out() -> Self {
        let allowed = allowed();
        let (proxy, rig) = (allowed[0], allowed[allowed.len() - 1]);
        let pinned = Command::new("taskset")
            .args(["-a", "-p", "-c", &rig.to_string()])
            .arg(std::process::id().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        Self {
            all: allowed,
            proxy,
            rig,
            pinned,
        }
    }

    /// The proxy's and one more, as in `taskset -c`: with only two, one that callers and upstream are on.
    pub(crate) fn two(&self) -> Option<String> {
        let second = self.all.get(1).filter(|_| self.pinned)?;
        Some(format!("{},{second}", self.proxy))
    }
}

fn allowed() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap_or("0");
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse(), to.parse::<usize>()) {
            cores.extend(from..=to);
        }
    }
    if cores.is_empty() {
        cores.push(0);
    }
    cores
}

/// Processor time, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// User and system together.
    pub(crate) total: f64,
    pub(crate) user: f64,
}

impl Cpu {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total - earlier.total,
            user: self.user - earlier.user,
        }
    }
}

/// A program that runs until it is dropped, with all that it started.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// On these cores, as in `taskset -c`; ready when `address` takes connections.
    pub(crate) fn start(
        command: &Command,
        cores: Option<&str>,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut pinned = pin(command, cores);
        let child = pinned
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{name} can't be started: {error}"))?;
        let mut running = Self { child };
        let started = Instant::now();
        while started.elapsed() < START {
            if TcpStream::connect(address).is_ok() {
                return Ok(running);
            }
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(format!("{name} ended: {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{name} does not listen on {address}"))
    }

    /// It and its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while let Some(id) = tree.get(next).copied() {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            let children = children.unwrap_or_default();
            tree.extend(
                children
                    .split_ascii_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
            next += 1;
        }
        tree
    }

    /// Of all its threads, so far.
    pub(crate) fn cpu(&self) -> Cpu {
        let mut sum = Cpu::default();
        for id in self.tree() {
            let (user, system) = ticks(id).unwrap_or_default();
            sum.user += user;
            sum.total += nanoseconds(id).unwrap_or(user + system);
        }
        sum
    }

    /// Resident memory in bytes; pages that processes share are counted once for each.
    pub(crate) fn resident(&self) -> u64 {
        let pages = |id| {
            let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim()
                .trim_end_matches(" kB")
                .trim()
                .parse::<u64>()
                .ok()
        };
        self.tree().into_iter().filter_map(pages).sum::<u64>() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let tree = self.tree();
        signal("-TERM", &tree[..1]);
        let asked = Instant::now();
        while asked.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Its own descendants that outlived it, told by their parent or their group no more: by id.
        let left: Vec<u32> = tree.into_iter().filter(|id| is_ours(*id)).collect();
        signal("-KILL", &left);
        let _ = self.child.wait();
    }
}

/// A process that did not end on request: its id was ours a moment ago, and it is no zombie.
fn is_ours(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim()
            .starts_with('Z')
    })
}

fn signal(kind: &str, ids: &[u32]) {
    if !ids.is_empty() {
        let ids = ids.iter().map(u32::to_string);
        let _ = Command::new("kill")
            .arg(kind)
            .args(ids)
            .stderr(Stdio::null())
            .status();
    }
}

fn pin(command: &Command, cores: Option<&str>) -> Command {
    let mut pinned = match cores {
        Some(cores) => {
            let mut taskset = if Path::new(SETPRIV).is_file() {
                // Should this process be killed, what it started is told to end.
                let mut setpriv = Command::new(SETPRIV);
                setpriv.args(["--pdeathsig", "TERM", "--", "taskset"]);
                setpriv
            } else {
                Command::new("taskset")
            };
            taskset.args(["-c", cores]).arg(command.get_program());
            taskset
        }
        None => Command::new(command.get_program()),
    };
    pinned.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            pinned.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        pinned.current_dir(folder);
    }
    pinned
}

/// User and system time of a process, in seconds; its ended threads are in it.
fn ticks(id: u32) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    // USER_HZ is 100 on every Linux that this is likely to meet.
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / 100.0);
    Some((seconds()?, seconds()?))
}

/// The scheduler's own count for the living threads, far finer than ticks; not on every kernel.
fn nanoseconds(id: u32) -> Option<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        sum += text.split_ascii_whitespace().next()?.parse::<f64>().ok()?;
    }
    (sum > 0.0).then_some(sum / 1e9)
}

/// A port that was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()
}
