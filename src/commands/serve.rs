//! `serve`: runs the gateway until SIGTERM or SIGINT, then completes the requests in progress.
//!
//! SIGUSR2 replaces the process by a new one of the program that now lies on disk. Sockets that the
//! service manager or an earlier process passes are used. Relies on [`crate::server`] for what a
//! stop does.

use std::{hint::black_box, io, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind},
    sync::watch,
    time::{interval, timeout},
};

use crate::{
    config::{ConfigSource, LoadedConfig, Settings},
    descriptors,
    handover::{Handover, InheritError, InheritedSockets, Predecessor, Program},
    lifecycle::Readiness,
    limit::clock::Clock,
    server::{
        BindError, ServingTime,
        drain::{self, DrainOutcome, StopReason, StopSignals},
    },
    service_manager::Notifier,
    startup::{BoundGateway, ConfigFollower, GatewayStatus, KeysInUse},
    telemetry::log::{self, LogError, LogWriter},
};

/// How long connections wait in the queue of an inherited socket while the keys of an issuer can't
/// be fetched. Without keys, their requests would be refused.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);
/// The same while an earlier process serves.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(20);
/// How old the status may be that the service manager shows.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

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
    Inherit(#[from] InheritError),
    #[error("the gateway can't start")]
    Start(#[from] BindError),
    #[error("the listening sockets can't be duplicated")]
    Duplicate(#[source] io::Error),
}

/// What another process gave to this one, and what a later one will need.
struct Inheritance {
    sockets: InheritedSockets,
    program: Program,
}

impl ServeArgs {
    /// Exits with 0 after a stop that lost no call, and with 1 if the gateway could not start, had
    /// to abandon calls, or was told a second time to stop.
    pub fn run(&self) -> ExitCode {
        // First of all, while there are no other descriptors and threads.
        let sockets = match InheritedSockets::from_environment() {
            Ok(sockets) => sockets,
            Err(error) => return super::fail(&ServeError::from(error)),
        };
        let program = Program::current();
        let source = ConfigSource::at(&self.config);
        let loaded = match source.load() {
            Ok(loaded) => loaded,
            Err(errors) => {
                super::note(&errors.for_stderr());
                return ExitCode::FAILURE;
            }
        };
        match start(loaded, source, Inheritance { sockets, program }) {
            Ok(code) => code,
            Err(error) => super::fail(&error),
        }
    }
}

fn start(
    loaded: LoadedConfig,
    source: ConfigSource,
    inheritance: Inheritance,
) -> Result<ExitCode, ServeError> {
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
        version: loaded.version,
        log: Some(log.control()),
        notifier: Notifier::from_environment(),
    };
    let result = runtime.block_on(serve(settings, follower, inheritance, log.writer()));
    // A name that is being resolved, or a file on a lost disk, must not delay the end.
    runtime.shutdown_background();
    result
}

async fn serve(
    settings: Settings,
    follower: ConfigFollower,
    Inheritance {
        mut sockets,
        program,
    }: Inheritance,
    log: LogWriter,
) -> Result<ExitCode, ServeError> {
    // Before the addresses are logged: a script may stop the gateway as soon as it reads them.
    let signals = StopSignals::listen();
    let replace = drain::listen(SignalKind::user_defined2());
    // SIGHUP no longer ends the process. Until the file is followed, this start reads it anyway.
    let _hangup = drain::listen(SignalKind::hangup());
    let notifier = follower.notifier.clone();
    let inherits = !sockets.is_empty();
    let predecessor = sockets.take_predecessor();
    let started = BoundGateway::start_on(sockets, settings, log, &Clock::default()).await;
    let running = started.map_err(logged)?.following(follower);
    for address in running.public_addresses() {
        tracing::info!(%address, "listening");
    }
    tracing::info!(address = %running.admin_address(), "admin listening");
    let listeners = running.duplicate_listeners();
    let listeners = listeners.map_err(ServeError::Duplicate)?;
    let handover = Handover::new(program, listeners, notifier.clone());
    let keys = running.keys_in_use();
    let status = Arc::new(running.status());
    let (speaks, speaking) = watch::channel(false);
    tokio::spawn(report(notifier.clone(), Arc::clone(&status), speaking));
    let mut serving = speaks.subscribe();
    let time = ServingTime {
        begin: async {
            if inherits {
                until_able_to_serve(status.readiness(), predecessor).await;
            }
            speaks.send_replace(true);
        },
        end: async {
            tokio::select! {
                () = signals.clone().first() => {
                    tracing::info!("stopping: not ready from now on");
                    notifier.stopping();
                    StopReason::Signal
                }
                () = async {
                    // Not before this process serves: two would take over from one otherwise.
                    let _ = serving.wait_for(|serves| *serves).await;
                    until_replaced(handover, replace, &keys).await;
                } => {
                    // From now on the manager listens to the new process.
                    speaks.send_replace(false);
                    StopReason::HandedOver
                }
            }
        },
    };
    let outcome = tokio::select! {
        outcome = running.serve(time) => outcome,
        () = signals.clone().second() => {
            tracing::warn!("ended at once by a second signal");
            return Ok(ExitCode::FAILURE);
        }
    };
    Ok(stopped(outcome))
}

fn logged(error: BindError) -> ServeError {
    let error = ServeError::from(error);
    tracing::error!("{}", super::chain(&error));
    error
}

/// The exit code. Peers can delay a stop until their connections are cut, so that is no failure.
fn stopped(outcome: DrainOutcome) -> ExitCode {
    let DrainOutcome { cut, lost } = outcome;
    match lost {
        0 => tracing::info!(cut, lost, "stopped"),
        _ => tracing::warn!(
            cut,
            lost,
            "stopped, with calls whose outcome is unknown: a longer server.drain_timeout would let \
             them finish"
        ),
    }
    match lost {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Waits until requests would not be refused for lack of keys, but not for ever. Then an earlier
/// process stops accepting, if there is one.
async fn until_able_to_serve(readiness: &Readiness, predecessor: Option<Predecessor>) {
    if let Some(predecessor) = predecessor {
        let able = async {
            drop(timeout(TAKE_OVER_TIMEOUT, readiness.keys_known()).await);
            // If that takes too long, the earlier process ends this one, and says so.
            readiness.ready().await;
        };
        let Err(error) = predecessor.take_over(able).await else {
            return;
        };
        tracing::warn!(
            %error,
            "the earlier process has ended without handing over: this one serves on its sockets"
        );
    }
    drop(timeout(KEYS_TIMEOUT, readiness.keys_known()).await);
}

/// Resolves when another process serves in the place of this one, at a signal.
async fn until_replaced(handover: Handover, mut signal: Option<Signal>, keys: &KeysInUse) {
    loop {
        drain::received(&mut signal).await;
        match handover.hand_over(&keys.to_bytes()).await {
            Ok(process) => {
                tracing::info!(
                    process,
                    "handed over: the new process serves, and this one completes its requests"
                );
                return;
            }
            Err(error) => tracing::error!(
                "the new process does not serve, so this one goes on: {}",
                super::chain(&error)
            ),
        }
    }
}

/// Tells the service manager that the gateway is ready, and from then on that it is alive and what
/// it does, while this process may speak.
async fn report(
    notifier: Notifier,
    status: Arc<GatewayStatus>,
    mut speaking: watch::Receiver<bool>,
) {
    if speaking.wait_for(|speaks| *speaks).await.is_err() {
        return;
    }
    notifier.ready();
    if !notifier.is_heard() {
        return;
    }
    let statuses = async {
        let mut told = String::new();
        let mut tick = interval(STATUS_INTERVAL);
        loop {
            tick.tick().await;
            let line = status.line();
            if line != told {
                notifier.status(&line);
                told = line;
            }
        }
    };
    tokio::select! {
        () = statuses => {}
        () = notifier.clone().keep_alive() => {}
        _ = speaking.wait_for(|speaks| !*speaks) => {}
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
