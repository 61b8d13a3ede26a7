//! Wrong names and values: the message, the help and the location of each error. Contradictions
//! and dangerous settings are in [`super::wrong_parts`].

use proptest::string::string_regex;

use super::{minimal, report};

/// The `line:column` where `part` first occurs in `text`.
pub(super) fn position(text: &str, part: &str) -> String {
    let at = text
        .find(part)
        .unwrap_or_else(|| panic!("no {part} in\n{text}"));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    format!("{line}:{column}")
}

/// Expects exactly one error, with this message or help, at this part of the text. Returns the
/// output. Without a part, the error is one of the whole file.
pub(super) fn only(text: &str, variables: &[(&str, &str)], message: &str, part: &str) -> String {
    let report = report(text, variables);
    let shown = report.to_string();
    assert_eq!(report.len(), 1, "{shown}");
    assert!(shown.contains(message), "not `{message}`:\n{shown}");
    let place = match part {
        "" => "--> t.toml\n".to_owned(),
        _ => format!("--> t.toml:{}\n", position(text, part)),
    };
    assert!(shown.contains(&place), "not {place}{shown}");
    shown
}

/// The same with some variables, and with the line that nothing was started.
pub(super) fn one(text: &str, message: &str, part: &str) {
    let shown = only(
        text,
        &[("SHORT", "too-short"), ("BLANK", "a b")],
        message,
        part,
    );
    assert!(
        shown.ends_with("t.toml: 1 error; nothing was started"),
        "{shown}"
    );
}

#[test]
fn eight_mistakes_are_eight_errors() {
    let text = r#"[server]
listen = "here"
max_connections = 5
body_memory = "512MB"
"é" = 1
[qiniu]
access_key = { env = "AK" }
secret_key = { env = "NOT_SET" }
  sign_dates = true
[[identity]]
issuer = "i"
audience = "a"
[[routes]]
path = "/a"
kind = "other"
[log]
level = "loud"
"#;
    let report = report(text, &[]);
    let shown = report.to_string();
    let places: Vec<_> = shown
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--> t.toml:"))
        .collect();
    let wanted = [
        "2:10", "4:15", "5:1", "8:22", "9:3", "11:10", "15:8", "17:9",
    ];
    assert_eq!(places, wanted, "{shown}");
    assert_eq!(report.len(), wanted.len());
    assert!(
        shown.ends_with("t.toml: 8 errors; nothing was started"),
        "{shown}"
    );
}

#[test]
fn an_error_shows_its_line_and_a_suggested_fix() {
    let shown = report(&minimal("[log]\nlevel = \"loud\"\n"), &[]).to_string();
    let wanted = r#"
error: `level` can't be `loud`
 --> t.toml:9:9
  |
9 | level = "loud"
  |         ^^^^^^
  |
  = help: write one of: trace, debug, info, warn, error

t.toml: 1 error; nothing was started"#;
    assert_eq!(shown, wanted.trim_start());
}

const NAMES: &[(&str, &str, &str)] = &[
    (
        "[server]\nlisen = \"127.0.0.1:1\"\n",
        "did you mean `listen`?",
        "lisen",
    ),
    ("[servr]\n", "did you mean `server`?", "servr"),
    (
        "[server]\nkeep_alive_requests = 5\n",
        "known here: listen, ",
        "keep_alive_requests",
    ),
    (
        "[server]\nconnections_per_address = \"\"\n",
        "unknown key",
        "connections_per_address",
    ),
    (
        "[sessions]\nbinds = true\n",
        "did you mean `bind`?",
        "binds",
    ),
    ("[tracing]\n", "unknown key `tracing`", "tracing"),
    ("[routes]\npath = \"/a\"\n", "write [[routes]]", "routes"),
    ("log = 3\n", "`log` is a section", "log"),
    ("[[log]]\n", "`log` is a section", "log"),
];

#[test]
fn a_name_that_no_key_has_is_an_error_with_a_suggestion() {
    for &(more, message, part) in NAMES {
        // A key of the top level must come first.
        let text = if more.starts_with("log") {
            format!("{more}{}", minimal(""))
        } else {
            minimal(more)
        };
        one(&text, message, part);
    }
    for line in ["quotas = \"\"", "video_look = \"off\""] {
        let text = minimal(&format!(
            "[[routes]]\npath = \"/v\"\nkind = \"verify\"\n{line}\n"
        ));
        let name = line.split(' ').next().unwrap().rsplit('.').next().unwrap();
        one(
            &text,
            &format!("unknown key `{name}`"),
            &format!("{name} ="),
        );
    }
}

const VALUES: &[(&str, &str, &str)] = &[
    (
        "[server]\nlisten = 8080",
        "`listen` can't be a number",
        "8080",
    ),
    (
        "[server]\nlisten = \"8080\"",
        "is not an IP address with a port",
        "\"8080\"",
    ),
    (
        "[server]\nlisten = \"localhost:8080\"",
        "names are not resolved",
        "\"localhost:8080\"",
    ),
    (
        "[admin]\nlisten = \"localhost:9090\"",
        "names are not resolved",
        "\"localhost:9090\"",
    ),
    (
        "[server]\nlisten = []",
        "`listen` has no address",
        "server]",
    ),
    (
        "[server]\nmax_connections = 1.5",
        "can't be a number with a fraction",
        "1.5",
    ),
    (
        "[server]\nmax_connections = 0",
        "a whole number from 1",
        "0\n",
    ),
    (
        "[server]\nmax_connections = -1",
        "a whole number from 1",
        "-1",
    ),
    (
        "[server]\nbody_memory = \"1GB\"",
        "`body_memory` can't be `1GB`",
        "\"1GB\"",
    ),
    (
        "[server]\nbody_memory = \"\"",
        "`body_memory` is empty",
        "\"\"",
    ),
    (
        "[server]\nhead_timeout = \"\"",
        "`head_timeout` is empty",
        "\"\"",
    ),
    (
        "[server]\nhead_timeout = \"10\"",
        "write a duration like",
        "\"10\"",
    ),
    ("[server]\nhead_timeout = 10", "write a duration like", "10"),
    (
        "[server]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\", \"[::1]:1\", \"[::1]:1\"]",
        "contains `[::1]:1` twice",
        "\"[::1]:1\"]",
    ),
    (
        "[server]\nidle_timeout = \"61min\"",
        "to \"1h\"",
        "\"61min\"",
    ),
    (
        "[server]\nmax_head_bytes = \"1023B\"",
        "from \"1KiB\" to \"128KiB\"",
        "\"1023B\"",
    ),
    (
        "[server]\nmax_head_bytes = \"129KiB\"",
        "from \"1KiB\" to \"128KiB\"",
        "\"129KiB\"",
    ),
    (
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        "is not a network",
        "\"10.0.0.0/33\"",
    ),
    ("[server]\ntrusted_proxies = [1]", "can't be a number", "1]"),
    (
        "[server]\nproxy_protocol = \"v2\"",
        "can't be a text",
        "\"v2\"",
    ),
    (
        "[server]\nproxy_protocol = true",
        "`proxy_protocol` needs `trusted_proxies`",
        "true",
    ),
    (
        "[server]\nrate_per_address = \"50\"",
        "write a rate like",
        "\"50\"",
    ),
    (
        "[server]\nrate_per_address = \"0/s\"",
        "write a rate like",
        "\"0/s\"",
    ),
    (
        "[server]\nrate_per_address = \"1000000001/s\"",
        "limits nothing",
        "\"1000000001/s\"",
    ),
    (
        "[server.cors]\nallowed_origins = \"*\"",
        "`*` is not an exact origin",
        "\"*\"",
    ),
    (
        "[server.cors]\nallowed_origins = \"null\"",
        "not an exact origin",
        "\"null\"",
    ),
    (
        "[server.cors]\nallowed_origins = \"https://a.com/\"",
        "not an exact origin: it ends with a slash",
        "\"https://a.com/\"",
    ),
    (
        "[server.cors]\nallowed_headers = \"*\"",
        "`*` is not accepted",
        "\"*\"",
    ),
    (
        "[server.cors]\nallowed_headers = [\"x-b3-traceid\", \"x b3\"]",
        "`x b3` is not the name of a header",
        "\"x b3\"",
    ),
    (
        "[server.cors]\nallowed_headers = \"Cookie\"",
        "no page can set the header `cookie`",
        "\"Cookie\"",
    ),
    (
        "[server.cors]\nmax_age = \"\"",
        "`max_age` is empty",
        "\"\"",
    ),
    ("[admin]\nlisten = \"\"", "`listen` is missing", "admin]"),
    (
        "[admin]\nlisten = \"127.0.0.1:8080\"",
        "has the address of the public listener",
        "\"127.0.0.1:8080\"",
    ),
    ("[log]\nformat = \"\"", "`format` is empty", "\"\""),
    (
        "[log]\nformat = \"xml\"",
        "write one of: json, text",
        "\"xml\"",
    ),
    ("[log]\nlevel = 1979-05-27", "can't be a date", "1979"),
];

#[test]
fn a_wrong_value_is_an_error_with_the_right_form() {
    for &(line, message, part) in VALUES {
        one(&minimal(&format!("{line}\n")), message, part);
    }
}

#[test]
fn text_that_is_not_toml_is_an_error() {
    for text in [
        "listen",
        "[server",
        "a = 'b",
        "\u{feff}\u{0}",
        "a = 1\na = 2",
        "[[identity]]\n[identity]",
    ] {
        assert!(!report(text, &[]).is_empty(), "{text}");
    }
    let shown = report(&minimal("[log]\nlevel = info\n[servr]\n"), &[]).to_string();
    assert!(
        shown.contains("this is not TOML") && shown.contains("--> t.toml:9:9\n"),
        "{shown}"
    );
}

proptest::proptest! {
    #[test]
    fn a_report_is_never_empty(text in string_regex("(\\[\\[?(server|qiniu|identity|routes|log)\\]\\]?\n|[a-z_.]{1,8} = [\"a-z0-9{}\\[\\]]{0,6}\n|\\PC{0,9}\n){0,8}").unwrap()) {
        if let Err(report) = super::load(&text, &[]) {
            proptest::prop_assert!(!report.is_empty() && report.to_string().contains("help: "));
        }
    }
}
