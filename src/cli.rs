//! The command line: one variant a command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;

/// Stands between untrusted frontends and Qiniu's action-liveness API.
#[derive(Debug, Parser)]
#[command(name = "liveness-gateway", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(commands::serve::Args),
    /// Check a configuration file: all its errors at once, with the place and the mend.
    Check(commands::check::Args),
    /// Try everything on this machine, with no Qiniu account: an emulator, the gateway, a page and a token.
    Sandbox(commands::sandbox::Args),
    /// Run the emulator of Qiniu's two endpoints alone.
    Emulator(commands::emulator::Args),
    /// Print the Authorization value for a request to Qiniu.
    Sign(commands::sign::Args),
    /// Print an HS256 token, for development.
    Token(commands::token::Args),
    /// Print a new key.
    Keygen(commands::keygen::Args),
    /// Print the JSON schema of the configuration, for editors.
    Schema,
    /// Exit 0 when the gateway is ready: for containers without a shell.
    Healthcheck(commands::healthcheck::Args),
    /// Print a completion script for a shell.
    Completions(commands::completions::Args),
}

impl Cli {
    /// Runs the command that was given.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Sandbox(args) => args.run(),
            Command::Emulator(args) => args.run(),
            Command::Sign(args) => args.run(),
            Command::Token(args) => args.run(),
            Command::Keygen(args) => args.run(),
            Command::Schema => commands::schema::run(),
            Command::Healthcheck(args) => args.run(),
            Command::Completions(args) => args.run(),
        }
    }
}
