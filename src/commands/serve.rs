//! `serve`: runs the gateway until SIGTERM or SIGINT, then completes the requests in progress.

use std::{hint::black_box, io, path::PathBuf, process::ExitCode};

use crate::{
    config::{ConfigSource, LoadedConfig, Settings},
    descriptors,
    server::drain,
    service_manager::Notifier,
    startup::{BoundGateway, ConfigFollower},
    telemetry::log::{self, LogError, LogWriter},
};

/// Size of the block that [`keep_freed_memory`] frees, in bytes: just under glibc's
/// `DEFAULT_MMAP_THRESHOLD_MAX` on 64-bit systems.
const FREED_BLOCK: usize = 32 * 1024 * 1024 - 64 * 1024;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Configuration file (TOML), for example gateway.toml
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: PathBuf,
}

/// Why the gateway can't start with a valid configuration.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("the log can't be set up")]
    Log(#[from] LogError),
    #[error("the runtime can't be set up")]
    Runtime(#[source] io::Error),
    #[error("the gateway can't start")]
    Start(#[source] io::Error),
}

impl ServeArgs {
    /// Exits with 0 after a clean stop, and with 1 if the gateway could not start, or had to close
    /// connections or abandon calls.
    pub fn run(&self) -> ExitCode {
        let source = ConfigSource::at(&self.config);
        let loaded = match source.load() {
            Ok(loaded) => loaded,
            Err(errors) => {
                super::note(&errors.for_stderr());
                return ExitCode::FAILURE;
            }
        };
        match start(loaded, source) {
            Ok(code) => code,
            Err(error) => super::fail(&error),
        }
    }
}

fn start(loaded: LoadedConfig, source: ConfigSource) -> Result<ExitCode, ServeError> {
    let settings = loaded.settings;
    let log = log::init(settings.log)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise_limit();
    keep_freed_memory();
    let runtime = super::runtime().map_err(ServeError::Runtime)?;
    let follower = ConfigFollower {
        source,
        values: loaded.values,
        log: Some(log.control()),
        notifier: Notifier::from_environment(),
    };
    let result = runtime.block_on(serve(settings, follower, log.writer()));
    // A name that is being resolved, or a file on a lost disk, must not delay the end.
    runtime.shutdown_background();
    result
}

async fn serve(
    settings: Settings,
    follower: ConfigFollower,
    log: LogWriter,
) -> Result<ExitCode, ServeError> {
    // Before the addresses are logged: a script may stop the gateway as soon as it reads them.
    let stop = drain::termination_signal();
    let running = BoundGateway::start(settings, log).await.map_err(|error| {
        let error = ServeError::Start(error);
        tracing::error!("{}", super::chain(&error));
        error
    })?;
    let running = running.following(follower);
    for address in running.public_addresses() {
        tracing::info!(%address, "listening");
    }
    tracing::info!(address = %running.admin_address(), "admin listening");
    let outcome = running.serve(stop).await;
    tracing::info!(cut = outcome.cut, lost = outcome.lost, "stopped");
    if outcome.cut == 0 && outcome.lost == 0 {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

/// Makes glibc's allocator keep the memory of one upload for the next one. By default it returns
/// large blocks to the system, which then clears each page again.
///
/// Freeing a large block raises the allocator's threshold for mapped blocks to the size of that
/// block, and the amount that it keeps free to twice as much (mallopt(3), `M_MMAP_THRESHOLD`). The
/// block is never written to, so it takes no memory. Other allocators are not affected.
fn keep_freed_memory() {
    drop(black_box(Vec::<u8>::with_capacity(FREED_BLOCK)));
}
