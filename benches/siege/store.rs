//! A Redis for the soak, if one is installed: a process on a loopback port that keeps nothing.
//!
//! `REDIS_SERVER` names another program, such as `valkey-server`.

use std::{
    io,
    net::SocketAddr,
    process::{Command, Stdio},
};

use super::{
    process::{Launch, Process, free_address},
    rig::launch,
};

/// A running store. Dropping it ends it.
pub(crate) struct Store {
    launch: Launch,
    address: SocketAddr,
    process: Option<Process>,
}

impl Store {
    /// `None` if the program is not installed.
    pub(crate) fn start(core: Option<usize>) -> io::Result<Option<Self>> {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let found = Command::new(&program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !found {
            return Ok(None);
        }
        let address = free_address()?;
        let port = address.port().to_string();
        let folder = std::env::temp_dir().display().to_string();
        let arguments = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            &folder,
        ];
        let mut store = Self {
            launch: Launch {
                program: program.into(),
                arguments: arguments.map(str::to_owned).to_vec(),
                core,
                ..Launch::default()
            },
            address,
            process: None,
        };
        store.restart()?;
        Ok(Some(store))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it anew, empty, at the same address.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.kill();
        self.process = Some(launch(&self.launch, self.address)?);
        Ok(())
    }
}
