//! `schema`: the JSON schema of the configuration, on standard output.

use std::process::ExitCode;

use crate::config::schema;

/// Prints it.
pub fn run() -> ExitCode {
    super::print(&format!("{:#}\n", schema::schema()))
}
