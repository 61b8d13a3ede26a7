//! Plays the service manager for the gateway: keeps its socket, starts, reloads, restarts and
//! replaces it, and reads what it reports (sd_notify(3)).
//!
//! Relies on `sh` to hand the socket over as descriptor 3. Ends processes by their ids only: those
//! it started, and those that these name as their successors.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::sleep;

use super::{
    super::{
        log_watch::LogWatch,
        process::{Launch, Process},
        rig::watch,
    },
    files::Files,
};

/// Becomes the gateway, with standard input as its first inherited socket (sd_listen_fds(3)).
const HAND_OVER: &str = "exec 3<&0 </dev/null; \
    LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public exec \"$@\"";
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LONGEST_STATE: usize = 4096;

/// The service.
pub(super) struct Service {
    socket: TcpListener,
    reports: UnixDatagram,
    reports_path: PathBuf,
    launch: Launch,
    log: LogWatch,
    /// The process that was started last. After an upgrade it is gone.
    started: Option<Process>,
    /// The process that serves.
    main: Option<Pid>,
}

impl Service {
    /// Binds the socket, and starts nothing.
    pub(super) fn create(
        files: &Files,
        public: SocketAddr,
        core: Option<usize>,
        environment: Vec<(String, String)>,
    ) -> io::Result<Self> {
        let reports_path = files.folder().join("notify");
        let reports = UnixDatagram::bind(&reports_path)?;
        reports.set_nonblocking(true)?;
        let notify = (
            "NOTIFY_SOCKET".to_owned(),
            reports_path.display().to_string(),
        );
        let words = ["-c", HAND_OVER, "sh"].map(str::to_owned);
        let gateway = [
            files.binary().display().to_string(),
            "serve".to_owned(),
            "--config".to_owned(),
            files.configuration().display().to_string(),
        ];
        Ok(Self {
            socket: TcpListener::bind(public)?,
            reports,
            reports_path,
            launch: Launch {
                program: "sh".into(),
                arguments: words.into_iter().chain(gateway).collect(),
                environment: environment.into_iter().chain([notify]).collect(),
                core,
                ..Launch::default()
            },
            log: LogWatch::default(),
            started: None,
            main: None,
        })
    }

    /// Starts the gateway, and waits until it reports that it is ready.
    pub(super) async fn start(&mut self) -> io::Result<()> {
        let socket = OwnedFd::from(self.socket.try_clone()?);
        let mut process = Process::start_with(&self.launch, Stdio::from(socket))?;
        watch(&self.log, &mut process);
        self.main = Some(Pid::from_child(&process.child));
        self.started = Some(process);
        self.ready().await
    }

    /// SIGHUP.
    pub(super) fn hang_up(&self) -> io::Result<()> {
        self.signal(Signal::HUP)
    }

    /// Stops the gateway, and starts it anew with the same socket.
    pub(super) async fn restart(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        self.ended().await?;
        self.start().await
    }

    /// Lets the gateway start its binary anew, and waits until the old process has ended.
    pub(super) async fn upgrade(&mut self) -> io::Result<()> {
        let old = self.main;
        self.signal(Signal::USR2)?;
        let mut ready = false;
        while !ready || self.main == old {
            for state in self.states() {
                match state.split_once('=') {
                    Some(("MAINPID", id)) => self.main = id.parse().ok().and_then(Pid::from_raw),
                    Some(("READY", "1")) => ready = true,
                    _ => {}
                }
            }
            sleep(LOOK_AGAIN).await;
        }
        self.old_ended(old).await
    }

    /// Waits until a process reports that it is ready.
    async fn ready(&mut self) -> io::Result<()> {
        loop {
            if self.states().iter().any(|state| state == "READY=1") {
                return Ok(());
            }
            if let Some(process) = &mut self.started
                && let Some(status) = process.child.try_wait()?
            {
                let log = self.log.summary();
                return Err(io::Error::other(format!("it ended: {status}; {log:?}")));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until the main process has ended.
    async fn ended(&mut self) -> io::Result<()> {
        let main = self.main.take();
        self.old_ended(main).await
    }

    async fn old_ended(&mut self, process: Option<Pid>) -> io::Result<()> {
        let Some(id) = process else { return Ok(()) };
        if let Some(started) = &mut self.started
            && Pid::from_child(&started.child) == id
        {
            loop {
                if let Some(status) = started.child.try_wait()? {
                    self.started = None;
                    return if status.success() {
                        Ok(())
                    } else {
                        Err(io::Error::other(format!("it stopped with {status}")))
                    };
                }
                sleep(LOOK_AGAIN).await;
            }
        }
        // A successor is no child of this process, so its status is not known.
        while test_kill_process(id).is_ok() {
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// What was reported since the last look.
    fn states(&self) -> Vec<String> {
        let (mut states, mut buffer) = (Vec::new(), vec![0; LONGEST_STATE]);
        while let Ok(length) = self.reports.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            states.extend(text.lines().map(str::to_owned));
        }
        states
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(main) = self.main else {
            return Err(io::Error::other("the gateway does not run"));
        };
        Ok(kill_process(main, signal)?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let started = self.started.as_ref();
        let started = started.map(|process| Pid::from_child(&process.child));
        // A child is ended with its handle.
        if let Some(main) = self.main.filter(|main| Some(*main) != started) {
            let _ = kill_process(main, Signal::KILL);
        }
        let _ = fs::remove_file(&self.reports_path);
    }
}
