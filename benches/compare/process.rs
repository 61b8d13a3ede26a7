//! The measured programs: starts them on their cores, reads their processor time and memory from
//! `/proc`, and ends them. Never ends a process that it did not start; processes are ended by id.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const START: Duration = Duration::from_secs(10);
/// Part of util-linux, like `taskset`.
const SETPRIV: &str = "/usr/bin/setpriv";
const STOP: Duration = Duration::from_secs(3);

/// The available processor cores. Proxies run on the first; generator and upstream run on the last.
#[derive(Debug)]
pub(crate) struct Cores {
    all: Vec<usize>,
    pub(crate) proxy: usize,
    pub(crate) rig: usize,
    /// Whether `taskset` works here.
    pub(crate) pinned: bool,
}

impl Cores {
    /// Assigns the cores, and pins this process to its own.
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

    /// The proxy's core and one more, as for `taskset -c`. On a machine with two cores, the second
    /// is the one of the generator.
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
    /// User and system time together.
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

/// A running program. Dropping it ends the program and its descendants.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program on `cores`, as for `taskset -c`, and waits until `address` accepts
    /// connections.
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
        Err(format!("{name} does not accept connections on {address}"))
    }

    /// The ids of the process and its descendants.
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

    /// Processor time of all threads and descendants since their start.
    pub(crate) fn cpu(&self) -> Cpu {
        let mut sum = Cpu::default();
        for id in self.tree() {
            let (user, system) = ticks(id).unwrap_or_default();
            sum.user += user;
            sum.total += nanoseconds(id).unwrap_or(user + system);
        }
        sum
    }

    /// Resident memory, in bytes. Pages that several processes share count for each of them.
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
        // Descendants may outlive their parent, so they are ended by id.
        let left: Vec<u32> = tree.into_iter().filter(|id| is_ours(*id)).collect();
        signal("-KILL", &left);
        let _ = self.child.wait();
    }
}

/// Whether a process of ours still runs: it exists and is not a zombie.
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
                // If this process is killed, its children get SIGTERM.
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

/// User and system time of a process, in seconds, including its ended threads.
fn ticks(id: u32) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    // USER_HZ is 100 on all common architectures.
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / 100.0);
    Some((seconds()?, seconds()?))
}

/// Processor time of the live threads by the scheduler's own count, in seconds. Much finer than
/// ticks; not available on every kernel.
fn nanoseconds(id: u32) -> Option<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        sum += text.split_ascii_whitespace().next()?.parse::<f64>().ok()?;
    }
    (sum > 0.0).then_some(sum / 1e9)
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()
}
