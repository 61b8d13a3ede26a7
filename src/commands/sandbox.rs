//! `sandbox`: the whole job on one machine, with no account.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args as ClapArgs;

use crate::{
    emulator::Scenario,
    sandbox::{Sandbox, SandboxSettings},
    server,
    telemetry::{LogFormat, LogSettings, log},
};

/// Arguments of `sandbox`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Where the gateway listens; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// What a good verify is answered: pass, action-fail, low-score, spoof or error:CODE.
    #[arg(long, value_name = "OUTCOME", default_value_t)]
    outcome: Scenario,
    /// How long Qiniu takes, like 250ms or 2s.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = super::emulator::latency)]
    latency: Duration,
    /// A file that gets LIVENESS_GATEWAY_URL, LIVENESS_GATEWAY_TOKEN and LIVENESS_GATEWAY_ADMIN_URL once it is ready.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

impl Args {
    /// Serves until SIGTERM or SIGINT.
    pub fn run(&self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: the sandbox can't start: {error}");
                if error.kind() == io::ErrorKind::AddrInUse {
                    eprintln!(
                        "help: another program listens there; `--listen 127.0.0.1:0` picks a free port"
                    );
                }
                ExitCode::FAILURE
            }
        }
    }

    fn serve(&self) -> io::Result<()> {
        let log = log::init(LogSettings {
            format: LogFormat::Text,
            level: tracing::Level::INFO,
        })
        .map_err(io::Error::other)?;
        let runtime = super::runtime()?;
        runtime.block_on(async {
            let stop = server::drain::termination_signal();
            let settings = SandboxSettings { listen: self.listen, scenario: self.outcome, latency: self.latency };
            let sandbox = Sandbox::bind(settings, log.writer()).await?;
            super::print(&sandbox.guide());
            if !self.listen.ip().is_loopback() {
                eprintln!("warning: {} can be reached by other machines, and the page hands its token to everyone", self.listen);
            }
            if let Some(file) = &self.env_file {
                write_environment(file, &sandbox)?;
            }
            sandbox.run(stop).await;
            Ok(())
        })
    }
}

/// Written beside its place and moved there, so that whoever waits for it never reads half of it. Only the owner may
/// read it: there is a token in it.
fn write_environment(file: &Path, sandbox: &Sandbox) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let text = format!(
        "LIVENESS_GATEWAY_URL={}\nLIVENESS_GATEWAY_TOKEN={}\nLIVENESS_GATEWAY_ADMIN_URL={}\n",
        sandbox.url(),
        sandbox.token(),
        sandbox.admin_url(),
    );
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut open = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    open.write_all(text.as_bytes())?;
    fs::rename(&beside, file)
}
