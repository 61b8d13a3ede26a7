//! The binary: hands the command line over to the library and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use liveness_gateway::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
