//! One file a command.

use std::{
    io::{self, Write},
    process::ExitCode,
    thread,
};

use tokio::runtime::{Builder, Runtime};

pub mod check;
pub mod completions;
pub mod emulator;
pub mod healthcheck;
pub mod keygen;
mod memory;
pub mod sandbox;
pub mod schema;
pub mod serve;
pub mod sign;
pub mod token;

/// Prints a result. A reader that closed the pipe has seen enough; anything else that goes wrong is a failure.
pub(crate) fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: can't write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The runtime that everything runs on. On a single core, as in many a sidecar, there is nobody to share work with, and a
/// runtime that never tries costs some 5 % less on small requests.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let single = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    let mut builder = if single {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().build()
}
