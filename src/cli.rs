//! The command line: one variant for each command. It only parses, and calls [`commands`].

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    commands::{self, man},
    config::schema,
    core_dumps,
};

const NAME: &str = "liveness-gateway";

/// A gateway between untrusted frontends and Qiniu's action-liveness API.
#[derive(Debug, Parser)]
#[command(name = NAME, version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the gateway
    ///
    /// Exits with 0 after a clean stop (SIGTERM or SIGINT), and with 1 if it can't start or had to
    /// abandon requests when it stopped.
    Serve(commands::serve::ServeArgs),
    /// Check a configuration file
    ///
    /// Prints every error with its location and a suggested fix, and exits with 1 if there is any.
    /// It starts nothing.
    Check(commands::check::CheckArgs),
    /// Try the gateway on this machine, without a Qiniu account
    ///
    /// Runs an emulator of Qiniu, a gateway in front of it, a page to try it with, and a backend
    /// that receives the pictures. Prints a development token and commands to paste.
    ///
    /// For the camera of a phone in the same network: --tls --listen 0.0.0.0:8443
    Sandbox(commands::sandbox::SandboxArgs),
    /// Run the emulator of Qiniu alone, to try your own configuration or any client of Qiniu
    ///
    /// The environment variables QINIU_ACCESS_KEY and QINIU_SECRET_KEY hold the keys of its
    /// account; any invented keys will do. The URL is printed to standard output.
    ///
    /// It checks signatures as Qiniu does, and issues sessions that are valid for five minutes and
    /// one use. It checks the container of each video, and says in `error_msg` what to do about a
    /// wrong one. It looks at no face: a verify whose session and video are valid has the result
    /// that --outcome names, in the shape of Qiniu's responses and with sample pictures.
    Emulator(commands::emulator::EmulatorArgs),
    /// Print the Authorization value of a request to Qiniu, to debug a signature
    ///
    /// The environment variables QINIU_ACCESS_KEY and QINIU_SECRET_KEY hold the keys. Nothing is
    /// sent.
    Sign(commands::sign::SignArgs),
    /// Print an HS256 token, for development
    ///
    /// For an [[identity]] with a shared `secret`. For example: liveness-gateway token
    /// --secret-env TOKEN_SECRET --issuer https://login.example.com/ --audience liveness
    /// --subject alice
    Token(commands::token::TokenArgs),
    /// Print a new key, for example: liveness-gateway keygen seal > seal.key
    Keygen(commands::keygen::KeygenArgs),
    /// Check the files of an audit log
    Audit(commands::audit::AuditArgs),
    /// Print the JSON schema of the configuration, for editors
    Schema,
    /// Exit with 0 if the gateway is ready, for containers without a shell
    ///
    /// The gateway is ready if the response has status 200 and arrives within 3 seconds. Otherwise
    /// the command exits with 1 and prints the reason.
    Healthcheck(commands::healthcheck::HealthcheckArgs),
    /// Print a completion script for a shell, for example: liveness-gateway completions bash
    Completions {
        /// Shell that will run the script
        shell: Shell,
    },
    /// Print the manual page, for example: liveness-gateway man > liveness-gateway.1
    Man,
}

impl Cli {
    /// Runs the command that was given.
    pub fn run(self) -> ExitCode {
        // First of all: most commands read secrets.
        if let Err(error) = core_dumps::disable() {
            commands::note(&format!("warning: core dumps are not off: {error}"));
        }
        match self.command {
            CliCommand::Serve(args) => args.run(),
            CliCommand::Check(args) => args.run(),
            CliCommand::Sandbox(args) => args.run(),
            CliCommand::Emulator(args) => args.run(),
            CliCommand::Sign(args) => args.run(),
            CliCommand::Token(args) => args.run(),
            CliCommand::Keygen(args) => args.run(),
            CliCommand::Audit(args) => args.run(),
            CliCommand::Schema => commands::print(&format!("{:#}\n", schema::schema())),
            CliCommand::Healthcheck(args) => args.run(),
            CliCommand::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), NAME, &mut script);
                commands::print(&String::from_utf8_lossy(&script))
            }
            CliCommand::Man => man::print(Self::command()),
        }
    }
}
