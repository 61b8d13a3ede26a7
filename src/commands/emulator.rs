//! `emulator`: runs the emulator of Qiniu alone, to test a configuration or any client of Qiniu.
//!
//! The keys come from the environment, never from the command line, which other users can read.
//! They are never printed.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use super::arguments::{self, ACCESS_KEY, KeyVariableError, SECRET_KEY};
use crate::{
    emulator::{Emulator, EmulatorSettings, Scenario},
    server::drain::StopSignals,
};

/// Arguments of `emulator`.
#[derive(Clone, Debug, clap::Args)]
pub struct EmulatorArgs {
    /// Address or host name to listen on, with a port; port 0 picks a free one
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9900",
        value_parser = arguments::listen_address
    )]
    listen: SocketAddr,
    /// Outcome of verifies: pass, action-fail, low-score, spoof, busy or error:CODE, for example
    /// error:216501
    #[arg(long, value_name = "OUTCOME", default_value_t)]
    outcome: Scenario,
    /// Delay of each response: a whole number and a unit (ms, s or min), at most 10min, for example
    /// 250ms
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0ms",
        value_parser = arguments::latency
    )]
    latency: Duration,
    /// Add members to responses that Qiniu does not send today, with pictures in them: none of them
    /// may reach a frontend
    #[arg(long)]
    new_members: bool,
}

/// Why the emulator can't run.
#[derive(Debug, thiserror::Error)]
enum EmulatorCommandError {
    #[error(transparent)]
    Key(#[from] KeyVariableError),
    #[error("the runtime can't be set up")]
    Runtime(#[source] io::Error),
    #[error("can't listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("can't write to standard output")]
    Print(#[source] io::Error),
}

impl EmulatorArgs {
    /// Serves until SIGINT or SIGTERM. Prints the URL once the address is bound.
    pub fn run(&self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error),
        }
    }

    fn serve(&self) -> Result<(), EmulatorCommandError> {
        let settings = EmulatorSettings {
            listen: self.listen,
            access_key: arguments::qiniu_key(ACCESS_KEY)?,
            secret_key: arguments::qiniu_key(SECRET_KEY)?,
            second_keys: None,
            scenario: self.outcome,
            latency: self.latency,
        };
        let runtime = super::runtime().map_err(EmulatorCommandError::Runtime)?;
        runtime.block_on(async {
            // Before the address is printed: a script may stop the emulator as soon as it reads it.
            let signals = StopSignals::listen();
            let address = self.listen;
            let emulator = Emulator::bind(settings)
                .await
                .map_err(|source| EmulatorCommandError::Listen { address, source })?;
            emulator.handle().set_new_members(self.new_members);
            announce(emulator.address()).map_err(EmulatorCommandError::Print)?;
            tokio::select! {
                () = emulator.run(signals.clone().first()) => {}
                () = signals.clone().second() => super::note("ended at once by a second signal"),
            }
            Ok(())
        })
    }
}

/// Prints the URL to standard output, for scripts, and hints to standard error.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "http://{address}")?;
    stdout.flush()?;
    super::note(&usage_hint(super::local_address(address)));
    match gateway_endpoint(address) {
        Some(endpoint) => super::note(&configuration_hint(endpoint)),
        None => super::note(
            "note: a gateway sends its keys over http:// only to a loopback address, so it refuses \
             this endpoint",
        ),
    }
    if !address.ip().is_loopback() {
        super::note(&format!(
            "warning: other machines can reach {address}, and videos arrive without TLS"
        ));
    }
    Ok(())
}

/// The address at which a gateway on the same machine reaches the emulator. `None` if the gateway
/// would refuse it.
fn gateway_endpoint(bound: SocketAddr) -> Option<SocketAddr> {
    Some(super::local_address(bound)).filter(|address| address.ip().is_loopback())
}

/// What the emulator does, and how to call it without a gateway.
fn usage_hint(address: SocketAddr) -> String {
    let url = format!("http://{address}/v2/actionliveness/sessioncode");
    format!(
        r#"
An emulator of Qiniu's action liveness. It checks each signature, session and video as Qiniu does,
and looks at no face: a valid verify gets the result of --outcome. A refused video says why in
error_msg. To call it with {ACCESS_KEY} and {SECRET_KEY} in the environment:

  echo '{{}}' >body.json
  curl -sS -X POST {url} -H 'Content-Type: application/json' -H "Authorization: $(liveness-gateway sign --url {url} --header 'Content-Type: application/json' --body body.json)" --data-binary @body.json
"#
    )
}

/// How to use the emulator with one's own configuration.
fn configuration_hint(endpoint: SocketAddr) -> String {
    format!(
        r#"To try your own configuration, start the gateway with the same {ACCESS_KEY} and
{SECRET_KEY}, and with the emulator as its endpoint:

  LIVENESS_GATEWAY__QINIU__ENDPOINT=http://{endpoint} \
      liveness-gateway serve --config gateway.toml

Or write it into the file:

  [qiniu]
  endpoint = "http://{endpoint}"
  access_key = {{ env = "{ACCESS_KEY}" }}
  secret_key = {{ env = "{SECRET_KEY}" }}

Stop the emulator with Ctrl-C.
"#
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct EmulatorLine {
        #[command(flatten)]
        args: EmulatorArgs,
    }

    #[test]
    fn the_command_line_has_defaults_and_refuses_an_unknown_outcome() {
        let defaults = EmulatorLine::parse_from(["emulator"]).args;
        assert_eq!(defaults.listen.to_string(), "127.0.0.1:9900");
        assert_eq!(
            (defaults.outcome, defaults.latency),
            (Scenario::Pass, Duration::ZERO)
        );
        let given = [
            "emulator",
            "--listen",
            "[::1]:0",
            "--outcome",
            "error:216501",
            "--latency",
            "2s",
        ];
        let given = EmulatorLine::parse_from(given).args;
        assert_eq!(
            (given.outcome, given.latency),
            (Scenario::Error(216_501), Duration::from_secs(2))
        );
        assert!(EmulatorLine::try_parse_from(["emulator", "--outcome", "maybe"]).is_err());
    }

    #[test]
    fn the_hint_names_an_endpoint_that_a_gateway_accepts() {
        for (bound, endpoint) in [
            ("127.0.0.1:9000", Some("127.0.0.1:9000")),
            ("0.0.0.0:9000", Some("127.0.0.1:9000")),
            ("[::]:9000", Some("[::1]:9000")),
            ("192.0.2.1:9000", None),
        ] {
            let hinted = gateway_endpoint(bound.parse().unwrap());
            assert_eq!(
                hinted.map(|address| address.to_string()).as_deref(),
                endpoint
            );
        }
    }
}
