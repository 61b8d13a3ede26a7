//! The manual page: complete, and without a fault that a formatter finds.

use std::process::{Command, Output};

use crate::support::folder::Folder;

const BINARY: &str = env!("CARGO_BIN_EXE_liveness-gateway");

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The commands that `help` lists.
fn commands(help: &str) -> Vec<&str> {
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

#[test]
fn the_manual_page_has_every_command_and_every_option() {
    let page = stdout(&run(&["man"]));
    let help = stdout(&run(&["--help"]));
    let found = commands(&help);
    assert!(found.len() > 10, "{found:?}");
    for command in found {
        let own = stdout(&run(&[command, "--help"]));
        let title = format!("liveness\\-gateway {command}");
        assert!(page.contains(&format!(".SH \"{title}")), "{command}");
        for option in own.lines().filter_map(|line| {
            let option = line.trim_start().strip_prefix("--")?;
            option.split([' ', '=', ',']).next()
        }) {
            let written = option.replace('-', "\\-");
            assert!(
                page.contains(&format!("\\-\\-{written}")),
                "{command} --{option}"
            );
        }
    }
    for section in ["EXIT STATUS", "SIGNALS", "ENVIRONMENT", "FILES"] {
        assert!(page.contains(section), "{section}");
    }
}

#[test]
fn the_formatter_finds_no_fault_in_the_manual_page() {
    let page = stdout(&run(&["man"]));
    let folder = Folder::with(&[("page.1", &page)]);
    let groff = Command::new("groff")
        .args(["-ww", "-man", "-Tutf8", "-z"])
        .arg(folder.path().join("page.1"))
        .output();
    let Ok(output) = groff else {
        assert!(std::env::var_os("CI").is_none(), "there is no groff");
        eprintln!("skipped: there is no groff");
        return;
    };
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}
