//! What the gateway tells its service manager, by the protocol of sd_notify(3): that it is ready,
//! reloads, stops or is alive, and a line of status.
//!
//! Relies on the environment that systemd gives to a service of `Type=notify`: `NOTIFY_SOCKET`, and
//! `WATCHDOG_USEC` with `WatchdogSec=`. Without it every message is dropped. Never fails: the
//! gateway serves whether its manager listens or not. Never sends a secret.

use std::{
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{MissedTickBehavior, interval, timeout},
};

/// The environment variable that names the manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";
/// The environment variable of the watchdog's timeout, in microseconds.
const WATCHDOG: &str = "WATCHDOG_USEC";
/// The environment variable of the process that it watches.
pub const WATCHDOG_PROCESS: &str = "WATCHDOG_PID";
/// The environment variables of passed sockets: for whom they are, how many, and their names.
pub const LISTEN_VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// How long a message may wait for a manager that does not read.
const SEND_TIMEOUT: Duration = Duration::from_millis(200);

/// Sends messages to the service manager, if there is one.
#[derive(Clone, Default)]
pub struct Notifier(Option<Arc<ManagerSocket>>);

/// The manager's socket.
struct ManagerSocket {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The manager ends a service that is silent for so long.
    watchdog: Option<Duration>,
    /// Whether a message has been lost before; only the first one is logged.
    failed: AtomicBool,
}

/// Why the manager can't be told anything.
#[derive(Debug, thiserror::Error)]
enum NotifierError {
    /// Neither a path nor an abstract name, for example `vsock:`.
    #[error("`{SOCKET}` names no Unix socket")]
    Address,
    #[error("the socket of `{SOCKET}` can't be used")]
    Socket(#[from] io::Error),
}

impl Notifier {
    /// The manager that the environment names. A name that can't be used is logged, and counts as
    /// none.
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os(SOCKET).filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let [timeout, process] = [WATCHDOG, WATCHDOG_PROCESS].map(|name| std::env::var(name).ok());
        let watchdog = watchdog(timeout.as_deref(), process.as_deref(), std::process::id());
        Self::to(&name, watchdog).unwrap_or_else(|error| {
            tracing::warn!(%error, "the service manager is not told that the gateway is ready");
            Self::default()
        })
    }

    /// The manager at a path, or at an abstract name that begins with `@`.
    fn to(name: &OsStr, watchdog: Option<Duration>) -> Result<Self, NotifierError> {
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(Path::new(name))?,
            [b'@', rest @ ..] => abstract_address(rest)?,
            _ => return Err(NotifierError::Address),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self(Some(Arc::new(ManagerSocket {
            socket,
            address,
            watchdog,
            failed: AtomicBool::new(false),
        }))))
    }

    /// Whether there is a manager that listens.
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// The start or a reload is complete.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// A reload begins; [`Notifier::ready`] ends it, whether it succeeds or not.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let micros = u64::try_from(now.tv_nsec).unwrap_or(0) / 1000;
        let now = seconds.saturating_mul(1_000_000).saturating_add(micros);
        // In one message: the time says which of several reloads this one is.
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// The stop begins.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// What the gateway does, in one line for people.
    pub fn status(&self, line: &str) {
        if self.is_heard() {
            self.send(&format!("STATUS={}", line.replace('\n', " ")));
        }
    }

    /// This process serves from now on in the place of the sender.
    pub fn main_process(&self, process: u32) {
        self.send(&format!("MAINPID={process}"));
    }

    /// Tells the manager twice within its watchdog's timeout that the gateway is alive, as long as
    /// the runtime works: its timer, its tasks and its events of sockets. Never ends; without a
    /// watchdog it only waits.
    pub async fn keep_alive(self) {
        if let Some(limit) = self.0.as_ref().and_then(|manager| manager.watchdog)
            && let Err(error) = self.keep_alive_every(limit / 2).await
        {
            tracing::error!(%error, "the watchdog of the service manager is not kept quiet");
        }
        std::future::pending().await
    }

    async fn keep_alive_every(&self, pause: Duration) -> io::Result<()> {
        let (mut here, there) = UnixStream::pair()?;
        let echo = tokio::spawn(echo(there));
        let mut tick = interval(pause);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !echo.is_finished() {
            tick.tick().await;
            let exchange = async {
                here.write_all(b".").await?;
                here.read_u8().await
            };
            // Beyond its time the exchange goes on: its answer serves the next one.
            if let Ok(answer) = timeout(pause, exchange).await {
                answer?;
                self.send("WATCHDOG=1");
            }
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn send(&self, message: &str) {
        let Some(manager) = &self.0 else { return };
        let sent = manager
            .socket
            .send_to_addr(message.as_bytes(), &manager.address);
        if let Err(error) = sent
            && !manager.failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the service manager can't be reached at {SOCKET}");
        }
    }
}

async fn echo(mut peer: UnixStream) -> io::Result<()> {
    loop {
        let byte = peer.read_u8().await?;
        peer.write_u8(byte).await?;
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

/// Other systems have no abstract names.
#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The timeout of the watchdog, if it watches this process.
fn watchdog(micros: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    let watches = process.is_none_or(|process| process.parse() == Ok(own));
    let micros = micros?.parse().ok().filter(|micros| *micros > 0)?;
    watches.then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager at an abstract name or a path, and a notifier that speaks to it.
    fn manager(name: &str, watchdog: Option<Duration>) -> (UnixDatagram, Notifier) {
        let address = match name.strip_prefix('@') {
            Some(rest) => abstract_address(rest.as_bytes()).unwrap(),
            None => SocketAddr::from_pathname(name).unwrap(),
        };
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::to(OsStr::new(name), watchdog).unwrap();
        (socket, notifier)
    }

    fn unique(name: &str) -> String {
        format!("@liveness-gateway/{}/{name}", std::process::id())
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_in_order_at_a_path_and_at_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("notify-{}", std::process::id()));
        for name in [path.to_str().unwrap(), &unique("order")] {
            let (socket, notifier) = manager(name, None);
            notifier.ready();
            notifier.status("two\nlines");
            notifier.main_process(7);
            notifier.stopping();
            let messages: Vec<_> = (0..4).map(|_| next(&socket)).collect();
            let expected = ["READY=1", "STATUS=two lines", "MAINPID=7", "STOPPING=1"];
            assert_eq!(messages, expected, "{name}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_reload_carries_the_systems_monotonic_time() {
        let (socket, notifier) = manager(&unique("reload"), None);
        let seconds = || u64::try_from(clock_gettime(ClockId::Monotonic).tv_sec).unwrap();
        let before = seconds();
        notifier.reloading();
        let message = next(&socket);
        let micros: u64 = message
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap()
            .parse()
            .unwrap();
        assert!((before..=seconds()).contains(&(micros / 1_000_000)));
    }

    #[test]
    fn no_manager_and_one_that_has_gone_are_no_failure() {
        Notifier::default().ready();
        let (socket, notifier) = manager(&unique("gone"), None);
        drop(socket);
        notifier.ready();
        for name in ["vsock:2:1234", "relative"] {
            assert!(Notifier::to(OsStr::new(name), None).is_err(), "{name}");
        }
    }

    #[test]
    fn the_watchdog_is_heeded_by_the_process_that_it_watches() {
        for (micros, process, expected) in [
            (Some("3000000"), None, Some(3)),
            (Some("3000000"), Some("17"), Some(3)),
            (Some("3000000"), Some("18"), None),
            (Some("0"), Some("17"), None),
            (Some("soon"), None, None),
            (None, Some("17"), None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(watchdog(micros, process, 17), expected, "{micros:?}");
        }
    }

    #[tokio::test]
    async fn the_gateway_is_alive_at_half_of_each_timeout() {
        let limit = Duration::from_millis(60);
        let (socket, notifier) = manager(&unique("alive"), Some(limit));
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::UnixDatagram::from_std(socket).unwrap();
        let begin = tokio::time::Instant::now();
        tokio::spawn(notifier.keep_alive());
        for _ in 0..4 {
            let mut message = [0; 64];
            let length = socket.recv(&mut message).await.unwrap();
            assert_eq!(&message[..length], b"WATCHDOG=1");
        }
        // The first one is sent at once.
        assert!(begin.elapsed() >= limit / 2 * 3);
    }

    /// Nothing of the runtime runs while its only thread is held.
    #[test]
    fn a_runtime_that_hangs_is_not_alive() {
        let limit = Duration::from_millis(20);
        let (socket, notifier) = manager(&unique("hangs"), Some(limit));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (holding, holds) = std::sync::mpsc::channel();
        let runtime = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async move {
                tokio::spawn(notifier.keep_alive());
                tokio::time::sleep(limit).await;
                holding.send(()).unwrap();
                let _ = held.recv();
            });
        });
        holds.recv().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut message = [0; 64];
        while socket.recv(&mut message).is_ok() {}
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(10 * limit)).unwrap();
        assert!(socket.recv(&mut message).is_err(), "it was told nothing");
        drop(release);
        runtime.join().unwrap();
    }
}
