//! The command line: one variant for each command. It only parses, and calls [`commands`].

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{commands, config::schema};

const NAME: &str = "liveness-gateway";

/// A gateway between untrusted frontends and Qiniu's action-liveness API.
#[derive(Debug, Parser)]
#[command(name = NAME, version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// Exits with 0 after a clean stop (SIGTERM or SIGINT), and with 1 if it can't start or had to
    /// abandon requests when it stopped.
    Serve(commands::serve::Args),
    /// Check a configuration file
    ///
    /// Prints every error with its location and a suggested fix, and exits with 1 if there is any.
    /// It starts nothing.
    Check(commands::check::Args),
    /// Try the gateway on this machine, without a Qiniu account
    ///
    /// Runs an emulator of Qiniu, a gateway in front of it, and a test page. Prints a development
    /// token and commands to paste.
    Sandbox(commands::sandbox::Args),
    /// Run the emulator of Qiniu alone, to try your own configuration or any client of Qiniu
    ///
    /// The environment variables QINIU_ACCESS_KEY and QINIU_SECRET_KEY hold the keys of its account;
    /// any invented keys will do. The URL is printed to standard output.
    Emulator(commands::emulator::Args),
    /// Print the Authorization value of a request to Qiniu, to debug a signature
    ///
    /// The environment variables QINIU_ACCESS_KEY and QINIU_SECRET_KEY hold the keys. Nothing is
    /// sent.
    Sign(commands::sign::Args),
    /// Print an HS256 token, for development
    ///
    /// For an [[identity]] with a shared `secret`. For example: liveness-gateway token
    /// --secret-env TOKEN_SECRET --issuer https://login.example.com/ --audience liveness
    /// --subject alice
    Token(commands::token::Args),
    /// Print a new key
    Keygen(commands::keygen::Args),
    /// Print the JSON schema of the configuration, for editors
    Schema,
    /// Exit with 0 if the gateway is ready, for containers without a shell
    ///
    /// The gateway is ready if the response has status 200 and arrives within 3 seconds. Otherwise
    /// the command exits with 1 and prints the reason.
    Healthcheck(commands::healthcheck::Args),
    /// Print a completion script for a shell, for example: liveness-gateway completions bash
    Completions {
        /// Shell that will run the script
        shell: Shell,
    },
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
            Command::Schema => commands::print(&format!("{:#}\n", schema::schema())),
            Command::Healthcheck(args) => args.run(),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), NAME, &mut script);
                commands::print(&String::from_utf8_lossy(&script))
            }
        }
    }
}
