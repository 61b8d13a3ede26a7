//! A store that survives the loss of its primary: two Redis servers and a Sentinel, if they are
//! installed, on loopback ports.
//!
//! `REDIS_SERVER` names another program, such as `valkey-server`. Nothing is kept on disk but what
//! the Sentinel writes for itself.

use std::{
    fs, io,
    net::SocketAddr,
    process::{Command, Stdio},
};

use super::super::{
    folder::TemporaryFolder,
    process::{Launch, Process, free_address},
    rig::launch,
};

const SERVICE: &str = "gateway";

/// The running store. Dropping it ends it.
pub(super) struct ReplicatedStore {
    program: String,
    core: Option<usize>,
    servers: [(SocketAddr, Option<Process>); 2],
    primary: usize,
    sentinel: SocketAddr,
    _sentinel: Process,
    _folder: TemporaryFolder,
}

impl ReplicatedStore {
    /// `None` if the program is not installed.
    pub(super) fn start(core: Option<usize>) -> io::Result<Option<Self>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let (first, second, sentinel) = (free_address()?, free_address()?, free_address()?);
        let folder = TemporaryFolder::create(&format!("store-{}", first.port()))?;
        let primary = server(&program, core, first, None)?;
        let replica = server(&program, core, second, Some(first))?;
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nsentinel monitor {SERVICE} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {SERVICE} 500\n\
             sentinel failover-timeout {SERVICE} 3000\n",
            sentinel.port(),
            folder.path().display(),
            first.port()
        );
        fs::write(&file, settings)?;
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        let process = launch(&plan(&program, core, arguments), sentinel)?;
        Ok(Some(Self {
            program,
            core,
            servers: [(first, Some(primary)), (second, Some(replica))],
            primary: 0,
            sentinel,
            _sentinel: process,
            _folder: folder,
        }))
    }

    pub(super) fn url(&self) -> String {
        format!("redis+sentinel://{}/{SERVICE}/0", self.sentinel)
    }

    /// Kills the primary. The Sentinel makes the replica the primary.
    pub(super) fn kill_primary(&mut self) -> io::Result<()> {
        let Some((_, process)) = self.servers.get_mut(self.primary) else {
            return Err(io::Error::other("there is no primary"));
        };
        *process = None;
        self.primary = 1 - self.primary;
        Ok(())
    }

    /// Starts the killed server anew, as a replica of the present primary.
    pub(super) fn repair(&mut self) -> io::Result<()> {
        let primary = self.servers[self.primary].0;
        let (address, process) = &mut self.servers[1 - self.primary];
        *process = Some(server(&self.program, self.core, *address, Some(primary))?);
        Ok(())
    }
}

/// The program of the store, if it is installed.
pub(super) fn program() -> Option<String> {
    let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let mut version = Command::new(&program);
    let status = version.arg("--version").stdout(Stdio::null()).status();
    status
        .is_ok_and(|status| status.success())
        .then_some(program)
}

/// The arguments of a server that keeps nothing on disk.
pub(super) fn arguments(address: SocketAddr, folder: &str) -> Vec<String> {
    let port = address.port().to_string();
    let words = ["--bind", "127.0.0.1", "--port", &port, "--dir", folder];
    let memory_only = ["--save", "", "--appendonly", "no"];
    let words = words.into_iter().chain(memory_only);
    words.map(str::to_owned).collect()
}

fn server(
    program: &str,
    core: Option<usize>,
    address: SocketAddr,
    primary: Option<SocketAddr>,
) -> io::Result<Process> {
    let folder = std::env::temp_dir().display().to_string();
    let mut arguments = arguments(address, &folder);
    arguments.extend(["--repl-diskless-sync-delay".to_owned(), "0".to_owned()]);
    if let Some(primary) = primary {
        let port = primary.port().to_string();
        arguments.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), port]);
    }
    launch(&plan(program, core, arguments), address)
}

pub(super) fn plan(program: &str, core: Option<usize>, arguments: Vec<String>) -> Launch {
    Launch {
        program: program.into(),
        arguments,
        core,
        ..Launch::default()
    }
}
