//! `emulator`: the stand-in for Qiniu alone, for testing any client of its API.
//!
//! Takes the keys from the environment, never from the command line where other users can read
//! them, and never prints them. Everything else is [`crate::emulator`]'s.

use std::{future::Future, io, io::Write as _, net::SocketAddr, process::ExitCode, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    emulator::{Emulator, EmulatorSettings, Scenario},
    secret::Secret,
};

const ACCESS_KEY: &str = "QINIU_ACCESS_KEY";
const SECRET_KEY: &str = "QINIU_SECRET_KEY";

/// Run an emulator of Qiniu's two endpoints (keys from QINIU_ACCESS_KEY and QINIU_SECRET_KEY)
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900")]
    pub listen: SocketAddr,
    /// What a good verify is answered: pass, action-fail, low-score, spoof or error:CODE
    #[arg(long, value_name = "OUTCOME", default_value_t)]
    pub outcome: Scenario,
    /// How long each answer is held back, like 250ms or 2s
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = latency)]
    pub latency: Duration,
}

impl Args {
    /// Serves until SIGINT or SIGTERM. Prints the address once it is bound, and why it could not start.
    pub fn run(&self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("emulator: {why}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(&self) -> Result<(), String> {
        let settings = EmulatorSettings {
            listen: self.listen,
            access_key: key(ACCESS_KEY, std::env::var(ACCESS_KEY))?,
            secret_key: key(SECRET_KEY, std::env::var(SECRET_KEY))?,
            scenario: self.outcome,
            latency: self.latency,
        };
        let runtime = super::runtime().map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(async {
            let stop =
                stop_signal().map_err(|error| format!("cannot watch for signals: {error}"))?;
            let listen = self.listen;
            let emulator = Emulator::bind(settings)
                .await
                .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
            announce(emulator.address()).map_err(|error| format!("cannot print: {error}"))?;
            emulator.run(stop).await;
            Ok(())
        })
    }
}

/// The address goes to stdout, for scripts that asked for port 0; remarks go to stderr.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "http://{address}")?;
    stdout.flush()?;
    if !address.ip().is_loopback() {
        eprintln!(
            "emulator: {address} can be reached from other machines, and videos arrive without TLS"
        );
    }
    Ok(())
}

/// Watches from the call on, so that a signal during start is not lost.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A key must be one word of visible ASCII without a colon, or no header could carry it.
fn key(name: &str, value: Result<String, std::env::VarError>) -> Result<Secret, String> {
    let value = match value {
        Ok(value) if !value.is_empty() => value,
        Ok(_) => return Err(format!("the environment variable {name} is empty")),
        Err(std::env::VarError::NotPresent) => {
            return Err(format!(
                "the environment variable {name} is not set; any invented key will do"
            ));
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            return Err(format!("the environment variable {name} is not text"));
        }
    };
    if value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b':')
    {
        Ok(Secret::new(value))
    } else {
        Err(format!(
            "the environment variable {name} holds blanks, colons or characters outside ASCII"
        ))
    }
}

/// Reads a whole number of `ms` or `s`, up to ten minutes.
pub(crate) fn latency(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(600);
    let unit_starts = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_starts);
    let time = match (digits.parse(), unit) {
        (Ok(number), "ms") => Duration::from_millis(number),
        (Ok(number), "s") => Duration::from_secs(number),
        _ => return Err("expected a whole number with its unit, like 250ms or 2s".into()),
    };
    if time > MOST {
        Err("at most 600s".into())
    } else {
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_command_line_is_read() {
        let defaults = Line::parse_from(["emulator"]).args;
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
        let given = Line::parse_from(given).args;
        assert_eq!(
            (given.outcome, given.latency),
            (Scenario::Error(216_501), Duration::from_secs(2))
        );
        assert!(Line::try_parse_from(["emulator", "--outcome", "maybe"]).is_err());
    }

    #[test]
    fn latencies_have_a_unit() {
        assert_eq!(latency("250ms"), Ok(Duration::from_millis(250)));
        for wrong in [
            "",
            "5",
            "ms",
            "1.5s",
            "-1s",
            "1 s",
            "1m",
            "601s",
            "99999999999999999999s",
        ] {
            assert!(latency(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bad_key_is_refused_by_name_without_its_value() {
        for wrong in ["", "with blank", "with:colon", "k\u{e9}y", "line\n"] {
            let why = key(SECRET_KEY, Ok(wrong.into())).err().unwrap();
            assert!(why.contains(SECRET_KEY));
            assert!(wrong.is_empty() || !why.contains(wrong));
        }
        let why = key(ACCESS_KEY, Err(std::env::VarError::NotPresent))
            .err()
            .unwrap();
        assert!(why.contains(ACCESS_KEY) && why.contains("not set"));
        assert_eq!(
            key(ACCESS_KEY, Ok("AK-1_".into())).ok().unwrap().reveal(),
            b"AK-1_"
        );
    }
}
