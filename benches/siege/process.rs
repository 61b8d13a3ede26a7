//! The processes of the harness: starts them on their cores, reads what they use from `/proc`, and
//! ends them.
//!
//! A process starts through this program's own role `launch`, which ties its life to this one's.
//! Never ends a process that it did not start; processes are ended by id.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, nice, set_parent_process_death_signal,
    setrlimit,
};

/// The first word of the command line that makes this program a launcher.
pub(crate) const LAUNCH: &str = "launch";
const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(40);

/// How a process is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// The core to run on, if there is a choice.
    pub(crate) core: Option<usize>,
    /// Descriptors it may have; 0 is the machine's limit.
    pub(crate) descriptors: u32,
    /// Whether it gives way to others on its core.
    pub(crate) yields: bool,
}

/// A running process. Dropping it ends it.
pub(crate) struct Process {
    pub(crate) child: Child,
}

impl Process {
    /// Starts a process; its three streams are pipes.
    pub(crate) fn start(launch: &Launch) -> io::Result<Self> {
        Self::start_with(launch, Stdio::piped())
    }

    /// Starts a process with this as its standard input; its other streams are pipes.
    pub(crate) fn start_with(launch: &Launch, stdin: Stdio) -> io::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg(LAUNCH)
            .arg(
                launch
                    .core
                    .map_or_else(|| "-".to_owned(), |core| core.to_string()),
            )
            .arg(launch.descriptors.to_string())
            .arg(u8::from(launch.yields).to_string())
            .arg(&launch.program)
            .args(&launch.arguments)
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { child })
    }

    /// Waits until `address` accepts connections.
    pub(crate) fn wait_for(&mut self, address: SocketAddr) -> io::Result<()> {
        let started = Instant::now();
        while started.elapsed() < START {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("it ended: {status}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Processor time of all threads up to now, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        cpu(&self.child.id().to_string())
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_ascii_whitespace().next());
        number
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> u64 {
        let folder = format!("/proc/{}/fd", self.child.id());
        // Kernels before 6.2 don't tell the number as a size.
        match fs::metadata(&folder).map_or(0, |it| it.len()) {
            0 => fs::read_dir(&folder).map_or(0, |entries| entries.count() as u64),
            number => number,
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Asks it to stop, and waits. Returns whether it stopped by itself with success.
    pub(crate) fn stop(&mut self) -> bool {
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => break,
            }
        }
        self.kill();
        false
    }

    fn signal(&mut self, signal: Signal) {
        // Its id belongs to no other process before it has been waited for.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processor time of this process, in seconds.
pub(crate) fn own_cpu() -> f64 {
    cpu("self")
}

/// By the scheduler's own count, which knows nothing of threads that have ended.
fn cpu(id: &str) -> f64 {
    let mut sum = 0.0;
    let tasks = fs::read_dir(format!("/proc/{id}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let first = text.split_ascii_whitespace().next();
        sum += first.and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0);
    }
    sum / 1e9
}

/// The role `launch`: becomes another program. Returns only if that fails.
pub(crate) fn become_program(mut words: impl Iterator<Item = String>) -> io::Error {
    let (Some(core), Some(descriptors), Some(yields), Some(program)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return io::Error::other("launch: CORE DESCRIPTORS YIELDS PROGRAM [ARGUMENT]…");
    };
    // It gets SIGTERM when the harness ends, however that ends.
    let tied = set_parent_process_death_signal(Some(Signal::TERM));
    let limited = limit_descriptors(descriptors.parse().unwrap_or(0));
    if let Err(error) = tied.and(limited) {
        return error.into();
    }
    if yields == "1" {
        let _ = nice(19);
    }
    let mut command = if core == "-" {
        Command::new(program)
    } else {
        let mut taskset = Command::new("taskset");
        taskset.args(["-c", &core, &program]);
        taskset
    };
    command.args(words).exec()
}

/// Sets both limits of descriptors; 0: the soft one stays as it is.
fn limit_descriptors(most: u64) -> rustix::io::Result<()> {
    if most == 0 {
        return Ok(());
    }
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(Resource::Nofile, limit)
}

/// Raises the soft limit of descriptors to the hard one. Returns it.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let most = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    most.unwrap_or(u64::MAX)
}

/// The cores that this process may use.
fn allowed() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let mut cores = Vec::new();
    for part in list.unwrap_or_default().trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse()) {
            cores.extend(from..=to);
        }
    }
    cores
}

/// A core for the gateway, and one for everything else, where this process goes too. `None` with
/// one core, or without `taskset`.
pub(crate) fn share_cores() -> Option<(usize, usize)> {
    let cores = allowed();
    let (first, last) = (*cores.first()?, *cores.last()?);
    let pinned = Command::new("taskset")
        .args(["-a", "-p", "-c", &last.to_string()])
        .arg(std::process::id().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    (first != last && pinned.is_ok_and(|status| status.success())).then_some((first, last))
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()
}
