//! `check`: validates a configuration and reports every error at once, or what is odd about a valid
//! one, with a summary. With `--connect` it also asks the servers that the configuration names. It
//! starts nothing.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use self::connect::{AskedServers, ConnectError};
use crate::{
    auth::{KeySource, remote::KeySetLocation},
    config::{self, LoadedConfig, Settings},
    route::RouteKind,
    telemetry::timestamp::rfc3339_millis,
};

mod connect;
mod finding;
mod servers;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Configuration file (TOML), for example gateway.toml
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: PathBuf,
    /// Print the effective configuration: every key with its value, secrets masked
    #[arg(long)]
    print: bool,
    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
    /// Also ask each server that the configuration names, for ten seconds at most
    ///
    /// Asks issuers for their keys, and whether Qiniu, the store, the evidence backend, the proxy
    /// and the collector of traces can be used. Prints a line for each, and exits with 1 if one
    /// failed. Nothing is signed and nothing is billed, so Qiniu's keys are not checked.
    #[arg(long)]
    connect: bool,
}

impl CheckArgs {
    /// Exits with 0 if the file is valid, else with 1 and all its errors on standard error. With
    /// `--connect`, also with 1 if a server can't be used. With `--strict`, warnings are errors.
    pub fn run(&self) -> ExitCode {
        let loaded = match config::load(&self.config) {
            Ok(loaded) => loaded,
            Err(report) => {
                super::note(&report.for_stderr());
                return ExitCode::FAILURE;
            }
        };
        for warning in &loaded.warnings {
            super::note(&format!("warning: {warning}"));
        }
        let printed = match self.print {
            true => super::print(&loaded.effective),
            false => super::print(&self.summary(&loaded)),
        };
        if printed != ExitCode::SUCCESS {
            return printed;
        }
        let mut warned = !loaded.warnings.is_empty();
        if self.connect {
            match self.ask(loaded.settings) {
                Ok(asked) => warned |= asked.odd > 0,
                Err(error) => return super::fail(&error),
            }
        }
        match self.strict && warned {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        }
    }

    /// Asks the servers, and prints a line for each.
    fn ask(&self, settings: Settings) -> Result<AskedServers, ConnectError> {
        // Behind the effective configuration, the lines are comments: so it stays TOML.
        let before = if self.print { "# " } else { "" };
        connect::ask_all(settings, |line| {
            // Who has closed the output wants the exit code alone.
            super::print(&format!("{before}{line}\n"));
        })
    }

    fn summary(&self, loaded: &LoadedConfig) -> String {
        let file = self.config.display();
        let mut text = format!("{file}: the configuration is valid\n");
        for (name, value) in lines(&loaded.settings) {
            // Writing to a string never fails.
            let _ = writeln!(text, "  {name:<12} {value}");
        }
        let warnings = match loaded.warnings.len() {
            0 => "none".to_owned(),
            count => format!("{count}, see above"),
        };
        let _ = writeln!(text, "  {:<12} {warnings}", "warnings");
        text
    }
}

/// What the gateway would do with these settings, each with its name.
fn lines(settings: &Settings) -> Vec<(&'static str, String)> {
    let server = &settings.server;
    let tls = if server.tls.is_some() {
        "TLS"
    } else {
        "no TLS"
    };
    let listening = server.listen.iter();
    let mut lines: Vec<_> = listening
        .map(|address| ("listener", format!("{address}, {tls}")))
        .collect();
    let expiries = settings.reloadable.expiries.iter();
    lines.extend(expiries.map(|(file, end)| {
        let end = rfc3339_millis(*end);
        ("certificate", format!("{}, until {end}", file.display()))
    }));
    lines.push(("admin", settings.admin.listen.to_string()));
    let qiniu = &settings.qiniu.endpoint;
    let scheme = if qiniu.tls { "https" } else { "http" };
    lines.push(("Qiniu", format!("{scheme}://{}", qiniu.authority)));
    for identity in &settings.identities {
        let keys = match &identity.keys {
            KeySource::Fixed(_) => "keys from the configuration",
            KeySource::Remote(remote) => match remote.location {
                KeySetLocation::Discovery(_) => "keys by discovery",
                KeySetLocation::KeySet(_) => "keys from jwks_url",
            },
        };
        let audience = identity.audience.join(", ");
        let issuer = &identity.issuer;
        lines.push(("issuer", format!("{issuer}, for {audience}, {keys}")));
    }
    for route in &settings.routes {
        let kind = match route.kind {
            RouteKind::Session => "session",
            RouteKind::Verify => "verify",
            RouteKind::Plain => "plain",
        };
        lines.push(("route", format!("{}, {kind}", route.path)));
    }
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    lines.push(("verdicts", on(settings.verdict.is_some())));
    lines.push(("evidence", on(settings.evidence.is_some())));
    lines.push(("store", on(settings.store.is_some())));
    let audit = settings.audit.as_ref();
    let audit = audit.map(|audit| audit.path.display().to_string());
    lines.push(("audit log", audit.unwrap_or_else(|| on(false))));
    lines
}
