//! The binary: parses the command line with the library's [`Cli`] and exits with its code.

use std::process::ExitCode;

use clap::Parser;
use liveness_gateway::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
