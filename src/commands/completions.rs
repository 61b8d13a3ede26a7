//! `completions`: a completion script for a shell, on standard output.

use std::process::ExitCode;

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The shell to complete for.
    shell: Shell,
}

impl Args {
    /// Prints the script.
    pub fn run(&self) -> ExitCode {
        let mut script = Vec::new();
        generate(
            self.shell,
            &mut Cli::command(),
            "liveness-gateway",
            &mut script,
        );
        super::print(&String::from_utf8_lossy(&script))
    }
}
