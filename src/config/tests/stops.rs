//! The times of a stop: what a drain lasts where nothing is written, and what is warned of.

use std::time::Duration;

use super::{good, minimal};

#[test]
fn a_drain_lasts_longer_than_the_longest_call_and_a_shorter_one_is_warned_of() {
    let verify = |timeout: &str| {
        format!(
            "[[routes]]\npath = \"/v2/actionliveness/verify\"\nkind = \"verify\"\n{timeout}\n\
             [[routes]]\npath = \"/v2/other\"\nkind = \"plain\"\n"
        )
    };
    for (label, server, routes, drain, warned) in [
        ("the default routes", "", String::new(), 65, None),
        ("a long call", "", verify("timeout = \"40min\""), 2405, None),
        ("as long", "60s", verify(""), 60, None),
        ("shorter", "59s", verify(""), 59, Some("\"65s\"")),
        ("empty", "\"\"", verify("timeout = \"10s\""), 35, None),
    ] {
        let written = match server {
            "" | "\"\"" => String::new(),
            time => format!("server.drain_timeout = \"{time}\"\n"),
        };
        let loaded = good(&(written + &minimal(&routes)), &[]);
        let expected = Duration::from_secs(drain);
        assert_eq!(loaded.settings.server.drain_timeout, expected, "{label}");
        let effective = loaded
            .effective
            .lines()
            .find(|it| it.starts_with("drain_timeout"));
        let effective = effective.unwrap().split('"').nth(1);
        let effective = effective.and_then(super::super::units::duration);
        assert_eq!(effective, Some(expected), "{label}");
        let drain = |it: &&String| it.contains("drain_timeout");
        let warnings: String = loaded.warnings.iter().filter(drain).cloned().collect();
        match warned {
            Some(help) => assert!(
                warnings.contains("verify") && warnings.contains(help),
                "{label}: {warnings}"
            ),
            None => assert_eq!(warnings, "", "{label}"),
        }
    }
}
