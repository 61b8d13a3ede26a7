//! `check`: validates a configuration and reports every error at once, or what is odd about a valid
//! one. It starts nothing.

use std::{path::PathBuf, process::ExitCode};

use crate::config;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Configuration file (TOML), for example gateway.toml
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: PathBuf,
    /// Print the effective configuration: every key with its value, secrets masked
    #[arg(long)]
    print: bool,
}

impl CheckArgs {
    /// Exits with 0 if the file is valid, else with 1 and all its errors on standard error.
    pub fn run(&self) -> ExitCode {
        match config::load(&self.config) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    super::note(&format!("warning: {warning}"));
                }
                match self.print {
                    true => super::print(&loaded.effective),
                    false => super::print(&format!(
                        "{}: the configuration is valid\n",
                        self.config.display()
                    )),
                }
            }
            Err(report) => {
                super::note(&report.for_stderr());
                ExitCode::FAILURE
            }
        }
    }
}
