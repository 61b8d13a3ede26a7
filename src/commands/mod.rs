//! One file a command.

use std::{
    io::{self, Write},
    process::ExitCode,
};

pub mod check;
pub mod completions;
pub mod emulator;
pub mod healthcheck;
pub mod keygen;
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
