//! `check`: says whether a configuration is good, or everything that is wrong with it, without starting anything.

use std::{path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

use crate::config;

/// Arguments of `check`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: PathBuf,
    /// Show the effective configuration: every key with its value, secrets masked.
    #[arg(long)]
    print: bool,
}

impl Args {
    /// 0 when the file is good; else 1, with every error on standard error.
    pub fn run(&self) -> ExitCode {
        match config::load(&self.config) {
            Ok(loaded) if self.print => super::print(&loaded.effective),
            Ok(_) => super::print(&format!(
                "{}: the configuration is good\n",
                self.config.display()
            )),
            Err(report) => {
                eprintln!("{report}");
                ExitCode::FAILURE
            }
        }
    }
}
