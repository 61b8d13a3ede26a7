//! `serve`: runs the gateway until SIGTERM or SIGINT, then lets the requests under way finish.

use std::{path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

use crate::{config, server, startup::Running, telemetry::log};

/// Arguments of `serve`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: PathBuf,
}

impl Args {
    /// Runs it: 0 after a clean stop, 1 when it could not start, or had to cut connections or calls.
    pub fn run(&self) -> ExitCode {
        let loaded = match config::load(&self.config) {
            Ok(loaded) => loaded,
            Err(report) => {
                eprintln!("{report}");
                return ExitCode::FAILURE;
            }
        };
        let log = match log::init(loaded.settings.log) {
            Ok(log) => log,
            Err(error) => {
                eprintln!("error: the log can't be set up: {error}");
                return ExitCode::FAILURE;
            }
        };
        super::memory::keep_freed();
        let runtime = match super::runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("error: the runtime can't be set up: {error}");
                return ExitCode::FAILURE;
            }
        };
        runtime.block_on(serve(loaded.settings, log.writer()))
    }
}

async fn serve(settings: config::Settings, lines: log::LogWriter) -> ExitCode {
    // Before anything says that the gateway is there: whoever reads that may stop it at once.
    let stop = server::drain::termination_signal();
    let running = match Running::start(settings, lines).await {
        Ok(running) => running,
        Err(error) => {
            tracing::error!("can't listen: {error}");
            eprintln!("error: can't listen: {error}");
            return ExitCode::FAILURE;
        }
    };
    for address in running.public_addresses() {
        tracing::info!(%address, "listening");
    }
    tracing::info!(address = %running.admin_address(), "admin listening");
    let outcome = running.serve(stop).await;
    tracing::info!(cut = outcome.cut, lost = outcome.lost, "stopped");
    if outcome.cut == 0 && outcome.lost == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
