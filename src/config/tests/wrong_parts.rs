//! Contradictions and dangerous settings in `[qiniu]`, `[[routes]]` and `[sessions]`. Those of
//! identities are in [`super::wrong_identities`].

use super::{IDENTITY, QINIU, SEAL_KEY, good, minimal, report, wrong::one};

const QINIU_LINES: &[(&str, &str, &str)] = &[
    (
        "endpoint = \"http://a.com\"",
        "in the clear",
        "\"http://a.com\"",
    ),
    (
        "endpoint = \"http://127.0.0.1.a.com\"",
        "in the clear",
        "\"http://127",
    ),
    (
        "endpoint = \"https://a.com/v2\"",
        "is not a base URL",
        "\"https://a.com/v2\"",
    ),
    (
        "endpoint = \"https://a.com/\"",
        "is not a base URL",
        "\"https://a.com/\"",
    ),
    (
        "endpoint = \"https://a.com?b\"",
        "is not a base URL",
        "\"https",
    ),
    (
        "endpoint = \"https://u@a.com\"",
        "is not a base URL",
        "\"https",
    ),
    (
        "endpoint = \"ftp://localhost\"",
        "is not a base URL",
        "\"ftp",
    ),
    ("endpoint = \"a.com\"", "is not a base URL", "\"a.com"),
    ("endpoint = \"\"", "`endpoint` is missing", "qiniu]"),
    (
        "sign_date = \"yes\"",
        "`sign_date` can't be a text",
        "\"yes\"",
    ),
    (
        "ca_file = \"not-there.pem\"",
        "not-there.pem",
        "\"not-there.pem\"",
    ),
];

#[test]
fn each_mistake_in_qiniu_has_its_location_and_help() {
    for &(line, message, part) in QINIU_LINES {
        one(&format!("{QINIU}{line}\n{IDENTITY}"), message, part);
    }
    for (source, message, part) in [
        ("\"inline\"", "must say where the secret is", "\"inline\""),
        (
            "{ env = \"NOT_SET\" }",
            "the environment variable `NOT_SET` is not set",
            "\"NOT_SET\"",
        ),
        ("{ file = \"not-there\" }", "can't be read", "\"not-there\""),
        (
            "{ env = \"AK\", file = \"b\" }",
            "exactly one of `env` and `file`",
            "{ env = \"AK\", ",
        ),
        ("{ env = \"BLANK\" }", "contains white space", "\"BLANK\""),
        ("{}", "exactly one of `env` and `file`", "{}"),
    ] {
        let text = minimal("").replace(
            "access_key = { env = \"AK\" }",
            &format!("access_key = {source}"),
        );
        one(&text, message, part);
    }
    one(
        &minimal("").replace("secret_key = { env = \"SK\" }\n", ""),
        "`secret_key` is missing",
        "qiniu]",
    );
    for endpoint in ["http://127.0.0.1:9", "http://[::1]:9", "http://localhost"] {
        good(
            &format!("{QINIU}endpoint = \"{endpoint}\"\n{IDENTITY}"),
            &[],
        );
    }
}

const ROUTE_LINES: &[(&str, &str, &str)] = &[
    (
        "max_body = \"1GiB\"",
        "larger than `server.body_memory`",
        "\"1GiB\"",
    ),
    ("max_body = \"\"", "`max_body` is empty", "\"\""),
    ("timeout = \"1day\"", "to \"1h\"", "\"1day\""),
    ("rate = \"6/m\"", "`rate` can't be `6/m`", "\"6/m\""),
    (
        "quota = \"50 a day\"",
        "`quota` can't be `50 a day`",
        "\"50 a day\"",
    ),
    ("quota = \"0/day\"", "`quota` can't be `0/day`", "\"0/day\""),
    ("quota = 50", "`quota` can't be a number", "50"),
    (
        "rate = \"1/day\"\nburst = 4294967295",
        "`burst` is too large for `rate`",
        "4294967295",
    ),
    (
        "rate = \"1/day\"\nburst = 36501",
        "would take over 100 years",
        "36501",
    ),
    ("burst = true", "`burst` can't be true or false", "true"),
    ("scope = \"a b\"", "a scope is one word", "\"a b\""),
    (
        "request.fields = [\"session_id\"]",
        "lacks `video_base64`",
        "[[routes]]",
    ),
    (
        "request.fields = [\"session_id\", \"video_base64\", \"nonce\"]",
        "`nonce` never goes to Qiniu",
        "\"nonce\"",
    ),
    (
        "request.set = { session_id = \"S\" }",
        "can't be pinned",
        "\"S\" }",
    ),
    (
        "request.set = { nonce = \"N\" }",
        "can't be pinned",
        "\"N\" }",
    ),
    (
        "request.set = { type_identify = 1 }",
        "`type_identify` must be a text",
        "1 }",
    ),
    (
        "request.set = { other = 1.5 }",
        "`other` can't be pinned to this",
        "1.5",
    ),
    (
        "request.set = { \"a.b\" = 1 }",
        "`a.b` can't be the name",
        "\"a.b\"",
    ),
    (
        "request.set = \"min_code_length\"",
        "`request.set` can't be a text",
        "\"min_code_length\"",
    ),
    (
        "[[routes]]\npath = \"/a\"\nkind = \"session\"\nrequest.set = { min_code_length = 4 }",
        "`min_code_length` must be a whole number from 1 to 3",
        "4 }",
    ),
    (
        "[[routes]]\npath = \"/a\"\nkind = \"session\"\nrequest.set = { max_code_length = \"2\" }",
        "`max_code_length` must be a whole number from 1 to 3",
        "\"2\"",
    ),
    (
        "[[routes]]\npath = \"/a\"\nkind = \"session\"\nrequest.set = { min_code_length = 3, max_code_length = 2 }",
        "`min_code_length` is above `max_code_length`",
        "min_code_length",
    ),
    (
        "[[routes]]\npath = \"/a\"",
        "`kind` is missing",
        "[[routes]]",
    ),
    (
        "[[routes]]\nkind = \"plain\"",
        "`path` is missing",
        "[[routes]]",
    ),
    (
        "[[routes]]\npath = \"/a\"\nkind = \"odd\"",
        "`kind` can't be `odd`",
        "\"odd\"",
    ),
    (
        "[[routes]]\npath = \"/a/../b\"\nkind = \"plain\"",
        "is not a plain path",
        "\"/a/../b\"",
    ),
    (
        "[[routes]]\npath = \"/a?b\"\nkind = \"plain\"",
        "is not a plain path",
        "\"/a?b\"",
    ),
    (
        "[[routes]]\npath = \"/.well-known/jwks.json\"\nkind = \"plain\"",
        "the gateway's own",
        "\"/.well",
    ),
];

#[test]
fn each_mistake_in_a_route_has_its_location_and_help() {
    let verify = "[[routes]]\npath = \"/v\"\nkind = \"verify\"\n";
    for (line, message, part) in ROUTE_LINES {
        let start = if line.starts_with('[') { "" } else { verify };
        one(&minimal(&format!("{start}{line}\n")), message, part);
    }
    let twice = minimal(&format!(
        "{verify}[[routes]]\nkind = \"plain\"\npath =  \"/v\""
    ));
    let shown = report(&twice, &[]).to_string();
    assert!(shown.contains("two routes have the path `/v`"), "{shown}");
    assert!(shown.contains("--> t.toml:13:9\n"), "{shown}");
    one(
        &format!("routes = []\n{}", minimal("")),
        "`routes` is empty",
        "routes",
    );
    one(
        &minimal("[server]\nbody_memory = \"8MiB\"\n"),
        "larger than `server.body_memory`",
        "\"8MiB\"",
    );
}

#[test]
fn a_user_s_share_holds_the_largest_body_and_fits_the_memory() {
    one(
        &minimal("[server]\nbody_memory_per_user = \"27MiB\"\n"),
        "smaller than the largest `max_body`",
        "\"27MiB\"",
    );
    one(
        &minimal("[server]\nbody_memory_per_user = \"513MiB\"\n"),
        "larger than `server.body_memory`",
        "\"513MiB\"",
    );
    let plain = "[[routes]]\npath = \"/a\"\nkind = \"plain\"\nmax_body = ";
    for (server, route, share) in [
        ("body_memory_per_user = \"28MiB\"", "", 28),
        ("body_memory_per_user = \"\"", "", 64),
        ("", "\"40MiB\"", 80),
        ("", "\"1MiB\"", 64),
        ("body_memory = \"40MiB\"", "", 40),
    ] {
        let route = match route {
            "" => String::new(),
            max => format!("{plain}{max}\n"),
        };
        let text = minimal(&format!("[server]\n{server}\n{route}"));
        let loaded = good(&text, &[]);
        let server = &loaded.settings.server;
        assert_eq!(server.body_memory_per_user, share << 20, "{text}");
        // Also where it is not written, the effective one is shown.
        let shown = format!("\nbody_memory_per_user = \"{share}MiB\"\n");
        assert!(loaded.effective.contains(&shown), "{}", loaded.effective);
    }
}

#[test]
fn each_mistake_in_sessions_is_reported() {
    let keys = [
        ("KEY", SEAL_KEY),
        ("SAME", SEAL_KEY),
        ("SHORT", "too-short"),
    ];
    for (lines, message) in [
        (
            "seal_key = { env = \"SHORT\" }",
            "`seal_key` is not base64 of 32 bytes",
        ),
        (
            "previous_seal_key = { env = \"SHORT\" }",
            "`previous_seal_key` is not base64",
        ),
        (
            "previous_seal_key = { env = \"KEY\" }",
            "needs a `seal_key`",
        ),
        (
            "seal_key = { env = \"KEY\" }\nprevious_seal_key = { env = \"SAME\" }",
            "are the same key",
        ),
        (
            "bind = false\nseal_key = { env = \"KEY\" }",
            "no key seals anything",
        ),
        ("bind = 1", "`bind` can't be a number"),
        ("seal_key = { env = \"NOT_SET\" }", "`NOT_SET` is not set"),
    ] {
        let shown = report(&minimal(&format!("[sessions]\n{lines}\n")), &keys).to_string();
        assert!(shown.contains(message), "not `{message}`:\n{shown}");
    }
}
