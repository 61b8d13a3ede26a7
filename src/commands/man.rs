//! `man`: prints the manual page, made from the same definitions as the command line.
//!
//! One page has all commands. Never reads a configuration.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Command;
use clap_mangen::Man;

/// What the definitions of the commands do not say, in roff (groff_man(7)).
const REST: &str = r#".SH "EXIT STATUS"
.TP
0
Success. For \fBserve\fR: a stop that completed everything in flight.
.TP
1
The command failed, and says why on standard error.
.TP
2
The command line is wrong.
.SH SIGNALS
Those of \fBserve\fR:
.TP
SIGTERM, SIGINT
Stop: complete what is in flight, then exit. A second one ends the process at once.
.TP
SIGHUP
Read the configuration file again.
.TP
SIGUSR2
Start the program anew and hand it the listeners, then stop.
.SH ENVIRONMENT
.TP
LIVENESS_GATEWAY_CONFIG
The configuration file, where \fB\-\-config\fR is not given.
.TP
LIVENESS_GATEWAY__SECTION__KEY
Takes the place of a key of the file, such as LIVENESS_GATEWAY__SERVER__LISTEN.
.SH FILES
.TP
/etc/liveness\-gateway/gateway.toml
The configuration, where the packages and their units expect it. \fBschema\fR prints its form.
"#;

/// Prints the page of this command and all of its commands.
pub(crate) fn print(command: Command) -> ExitCode {
    match page(command) {
        Ok(page) => super::print(&page),
        Err(error) => super::fail(&error),
    }
}

fn page(command: Command) -> io::Result<String> {
    let mut command = command.disable_help_subcommand(true);
    // Gives each command its whole name.
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).manual("User Commands");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in command.get_subcommands() {
        describe(command, &mut page)?;
    }
    page.write_all(REST.as_bytes())?;
    String::from_utf8(page).map_err(io::Error::other)
}

/// A section for a command, or one for each of its own commands.
fn describe(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    if command.has_subcommands() {
        return command
            .get_subcommands()
            .try_for_each(|inner| describe(inner, page));
    }
    let name = command.get_bin_name().unwrap_or(command.get_name());
    writeln!(page, ".SH \"{}\"", name.replace('-', r"\-"))?;
    let man = Man::new(command.clone());
    let mut parts = Vec::new();
    man.render_description_section(&mut parts)?;
    man.render_synopsis_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    // Its parts are sections of a page; here they are subsections of one.
    for line in String::from_utf8_lossy(&parts).lines() {
        match line.strip_prefix(".SH ") {
            Some("DESCRIPTION") => {}
            Some(title) => writeln!(page, ".SS {title}")?,
            None => writeln!(page, "{line}")?,
        }
    }
    Ok(())
}
