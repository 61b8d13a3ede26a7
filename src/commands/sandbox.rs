//! `sandbox`: runs the emulator, the gateway and a test page on one machine.
//!
//! Everything is [`crate::sandbox`]'s, except the arguments, the printed guide and the file with
//! the environment variables.

use std::{
    fs,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::arguments;
use crate::{
    descriptors,
    emulator::Scenario,
    sandbox::{Sandbox, SandboxError, SandboxSettings},
    server::drain::StopSignals,
    telemetry::{
        LogFormat, LogSettings,
        log::{self, LogError},
    },
};

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub struct SandboxArgs {
    /// Address or host name that the gateway listens on, with a port; port 0 picks a free one
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        value_parser = arguments::listen_address
    )]
    listen: SocketAddr,
    /// Serve HTTPS with a certificate made for this run, so that a phone in the same network gets
    /// its camera
    #[arg(long)]
    tls: bool,
    /// Address or host name of the admin listener, with a port; port 0 picks a free one
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:0",
        value_parser = arguments::listen_address
    )]
    admin_listen: SocketAddr,
    /// Outcome of verifies: pass, action-fail, low-score, spoof, busy or error:CODE, for example
    /// error:216501; the page can change it
    #[arg(long, value_name = "OUTCOME", default_value_t)]
    outcome: Scenario,
    /// Delay of each of the emulator's responses: a whole number and a unit (ms, s or min), at most
    /// 10min, for example 250ms
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0ms",
        value_parser = arguments::latency
    )]
    latency: Duration,
    /// File to write once the sandbox is ready, with the variables LIVENESS_GATEWAY_URL,
    /// LIVENESS_GATEWAY_TOKEN and LIVENESS_GATEWAY_ADMIN_URL [default: none]
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// Why the sandbox can't run.
#[derive(Debug, thiserror::Error)]
enum SandboxCommandError {
    #[error("the log can't be set up")]
    Log(#[from] LogError),
    #[error("the runtime can't be set up")]
    Runtime(#[source] io::Error),
    #[error("the sandbox can't start")]
    Start(#[from] SandboxError),
    #[error("can't write --env-file {}", path.display())]
    EnvFile { path: PathBuf, source: io::Error },
}

impl SandboxArgs {
    /// Serves until SIGTERM or SIGINT.
    pub fn run(&self) -> ExitCode {
        let Err(error) = self.serve() else {
            return ExitCode::SUCCESS;
        };
        let code = super::fail(&error);
        if let SandboxCommandError::Start(error) = &error
            && error.address_in_use()
        {
            super::note(
                "help: another program listens on this address; --listen 127.0.0.1:0 picks a \
                 free port",
            );
        }
        code
    }

    fn serve(&self) -> Result<(), SandboxCommandError> {
        let log = log::init(LogSettings {
            format: LogFormat::Text,
            level: tracing::Level::INFO,
        })?;
        descriptors::raise_limit();
        let runtime = super::runtime().map_err(SandboxCommandError::Runtime)?;
        runtime.block_on(async {
            let signals = StopSignals::listen();
            let settings = SandboxSettings {
                listen: self.listen,
                admin_listen: self.admin_listen,
                tls: self.tls,
                scenario: self.outcome,
                latency: self.latency,
            };
            let sandbox = Sandbox::bind(settings, log.writer()).await?;
            super::print(&sandbox.guide(io::stdout().is_terminal()));
            if !self.listen.ip().is_loopback() {
                super::note(&format!(
                    "warning: other machines can reach {}: whoever opens the page gets a token, and \
                     sees what the backend received",
                    sandbox.url()
                ));
            }
            if !self.admin_listen.ip().is_loopback() {
                super::note(&format!(
                    "warning: other machines can reach the admin listener, {}",
                    sandbox.admin_url()
                ));
            }
            if let Some(path) = &self.env_file {
                write_environment(path, &sandbox).map_err(|source| {
                    let path = path.clone();
                    SandboxCommandError::EnvFile { path, source }
                })?;
            }
            tokio::select! {
                () = sandbox.run(signals.clone().first()) => {}
                () = signals.clone().second() => super::note("ended at once by a second signal"),
            }
            Ok(())
        })
    }
}

/// Writes the file under another name and renames it, so that a reader never sees a part of it.
/// Only the owner may read it, because it holds a token.
fn write_environment(file: &Path, sandbox: &Sandbox) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let text = format!(
        "LIVENESS_GATEWAY_URL={}\nLIVENESS_GATEWAY_TOKEN={}\nLIVENESS_GATEWAY_ADMIN_URL={}\n",
        sandbox.url(),
        sandbox.token(),
        sandbox.admin_url(),
    );
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mut open = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    open.write_all(text.as_bytes())?;
    fs::rename(&temporary, file)
}
