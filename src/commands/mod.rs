//! The commands, one file each, and what they share: output, errors, arguments and the runtime.

use std::{
    error::Error,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    thread,
};

use tokio::runtime::{Builder, Runtime};

mod arguments;
pub mod audit;
pub mod check;
pub mod emulator;
pub mod healthcheck;
pub mod keygen;
pub mod man;
pub mod sandbox;
pub mod serve;
pub mod sign;
pub mod token;

/// Prints a result to standard output. If the reader has closed the pipe, that is no failure.
pub(crate) fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: can't write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line to standard error. If that is closed, the line is lost.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints an error with its causes to standard error.
fn fail(error: &dyn Error) -> ExitCode {
    note(&format!("error: {}", chain(error)));
    ExitCode::FAILURE
}

/// The text of an error and its causes, separated by colons.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The address at which a process on this machine reaches a listener: an unspecified address, such
/// as 0.0.0.0, becomes the loopback address.
fn local_address(mut bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => bound.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => bound.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    bound
}

/// The runtime of the servers. On a single core, as in many sidecars, there are no other workers to
/// share tasks with, and the current-thread runtime is some 5 % cheaper for small requests.
fn runtime() -> io::Result<Runtime> {
    let single = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    let mut builder = if single {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().build()
}
