//! Whatever may be a secret is masked, wherever it was pasted.

use std::fs;

use super::{IDENTITY, QINIU, environment, good, minimal, report};
use crate::config::load;

/// Neither in upper case nor with a `/` or a `.`: it may be a secret.
const MARKER: &str = "mARKER-0123456789-0123456789-0123456789";

/// The errors of a text, after a check that they show no marker.
fn shown(text: &str, variables: &[(&str, &str)]) -> String {
    let report = report(text, variables);
    let shown = report.to_string();
    let all = format!("{shown} {report:?}").to_lowercase();
    assert!(!all.contains("marker"), "{text}\n{shown}");
    shown
}

fn with_secret_key(line: &str) -> String {
    minimal("").replace("secret_key = { env = \"SK\" }", line)
}

#[test]
fn a_secret_in_the_place_of_its_source_is_masked() {
    for (source, message) in [
        (
            "{ env = \"MARKER\" }",
            "environment variable `***` is not set",
        ),
        ("{ file = \"MARKER\" }", "/***` can't be read"),
        (
            "{\n  env = \"MARKER\"\n}",
            "environment variable `***` is not set",
        ),
        (
            "{ env = \"MARKER\", file = \"b\" }",
            "exactly one of `env` and `file`",
        ),
        ("{ value = \"MARKER\" }", "exactly one of `env` and `file`"),
        ("\"MARKER\"", "must say where the secret is"),
        ("[\"MARKER\"]", "must say where the secret is"),
    ] {
        let text = with_secret_key(&format!(
            "secret_key = {}",
            source.replace("MARKER", MARKER)
        ));
        let shown = shown(&text, &[]);
        let message = message.replace("/***`", "/***");
        assert!(shown.contains(&message), "{message}\n{shown}");
        assert!(shown.contains("***"), "{shown}");
    }
    let text = with_secret_key(&format!("secret_key = {{ env = \"{MARKER}\" }}"));
    let stars = "*".repeat(MARKER.len() + 2);
    assert!(shown(&text, &[]).contains(&format!("secret_key = {{ env = {stars} }}\n")));
    let text = with_secret_key(&format!("[qiniu.secret_key]\nenv = \"{MARKER}\""));
    assert!(shown(&text, &[]).contains("`***` is not set"));
}

#[test]
fn names_of_variables_and_paths_are_shown() {
    let text = with_secret_key("secret_key = { env = \"NOT_SET_1\" }");
    let errors = shown(&text, &[]);
    assert!(errors.contains("`NOT_SET_1` is not set") && errors.contains("env = \"NOT_SET_1\""));
    for path in ["secrets/key", "key.txt", "/run/secrets/key"] {
        let text = with_secret_key(&format!("secret_key = {{ file = \"{path}\" }}"));
        let errors = shown(&text, &[]);
        assert!(
            errors.contains(&format!("{path} can't be read")),
            "{errors}"
        );
        assert!(errors.contains(&format!("file = \"{path}\"")), "{errors}");
    }
}

#[test]
fn what_looks_like_a_key_is_masked_though_it_has_a_slash() {
    for (kind, secret) in [
        ("file", "redis://ann:marker@redis.example.com"),
        ("file", "whsec_marker/abcdefghijklmnop"),
        ("file", "marker/abcdefghijklmnopqrstuvwxyz0123456789ab="),
        ("env", "MARKER-1"),
        ("env", ""),
    ] {
        let text = with_secret_key(&format!("secret_key = {{ {kind} = \"{secret}\" }}"));
        let errors = shown(&text, &[]);
        assert!(errors.contains("***"), "{errors}");
    }
}

#[test]
fn a_secret_in_an_override_of_its_source_is_masked() {
    for (kind, message) in [("ENV", "`***` is not set"), ("FILE", "/*** can't be read")] {
        let name = format!("LIVENESS_GATEWAY__QINIU__SECRET_KEY__{kind}");
        let errors = shown(&minimal(""), &[(&name, MARKER)]);
        assert!(errors.contains(message), "{errors}");
        assert!(errors.contains(&format!("--> environment variable {name}")));
    }
    // The file may have a secret that is overridden, on a line with another error.
    let text = format!(
        "qiniu = {{ access_key = {{ env = \"AK\" }}, secret_key = \"{MARKER}\", sign_dat = 1 }}\n\
         {IDENTITY}"
    );
    let name = "LIVENESS_GATEWAY__QINIU__SECRET_KEY__ENV";
    let errors = shown(&text, &[(name, "SK")]);
    assert!(errors.contains("did you mean `sign_date`?"), "{errors}");
}

#[test]
fn a_secret_under_an_unknown_name_is_masked() {
    for line in [
        format!("secret_kye = \"{MARKER}\""),
        format!("secret_kye = {{ env = \"{MARKER}\" }}"),
        format!("anything = \"{MARKER}\""),
        format!("anything = {{ at = [\"{MARKER}\"] }}"),
    ] {
        let errors = shown(&format!("{QINIU}{line}\n{IDENTITY}"), &[]);
        assert!(errors.contains("unknown key"), "{errors}");
    }
    let errors = shown(&minimal(&format!("[store]\nrediss = \"{MARKER}\"\n")), &[]);
    assert!(errors.contains("did you mean `redis`?"), "{errors}");
    // The value of a misspelt key that holds no secret is shown.
    let errors = shown(&minimal("[server]\nlisen = \"127.0.0.1:1\"\n"), &[]);
    assert!(errors.contains("lisen = \"127.0.0.1:1\""), "{errors}");
}

#[test]
fn a_line_that_is_not_toml_is_masked_where_it_may_hold_a_secret() {
    for line in [
        format!("secret_key = {MARKER}"),
        format!("secret_key = \"{MARKER}"),
        format!("secret_key: {MARKER}"),
        format!("secret_key = {{ env = \"{MARKER}"),
        format!("secret_key = {{\n  env = \"{MARKER}\n}}"),
        format!("secret_key = \"\"\"\n{MARKER}\n[log]"),
        format!("access_key = {{ env = \"AK\" }} secret_key = \"{MARKER}\""),
        format!("secret_key = {{ env = \"A\" }}\nsecret_key = \"{MARKER}\""),
        format!("listen = \"\"\"\nsecret_key = \"{MARKER}\""),
        format!("sign_date = true, secret = {MARKER}"),
        format!("{MARKER}="),
        MARKER.to_owned(),
    ] {
        shown(&with_secret_key(&line), &[]);
    }
    let errors = shown(&minimal("[log]\nlevel = info\n[servr]\n"), &[]);
    assert!(errors.contains("10 | [servr]\n"), "{errors}");
    assert!(errors.contains("9 | level = info\n"), "{errors}");
}

#[test]
fn a_text_of_several_lines_is_not_repeated() {
    let text = format!("[server]\nlisten = \"\"\"127.0.0.1:1\nsecret = {MARKER}\"\"\"\n");
    let errors = shown(&minimal(&text), &[]);
    assert!(
        errors.contains("`listen` contains a line break"),
        "{errors}"
    );
}

#[test]
fn the_password_of_a_url_is_masked() {
    let endpoint = format!("{QINIU}endpoint = \"https://ann:{MARKER}@a.com\"\n{IDENTITY}");
    let errors = shown(&endpoint, &[]);
    assert!(
        errors.contains("`https://***@a.com` is not a base URL"),
        "{errors}"
    );
    let jwks = format!("jwks_url = \"ftp://ann:{MARKER}@a.com\"");
    let text = minimal("").replace("secret = { env = \"HMAC\" }", &jwks);
    assert!(shown(&text, &[]).contains("`ftp://***@a.com` is not a URL"));
}

#[test]
fn a_private_key_in_the_place_of_its_path_is_masked() {
    for key in [MARKER, "marker/abcdefghijklmnopqrstuvwxyz0123456789ab="] {
        let tls = format!("[server.tls]\ncertificate = \"a.pem\"\nprivate_key = \"{key}\"\n");
        let errors = shown(&minimal(&tls), &[]);
        assert!(errors.contains("/*** can't be read"), "{errors}");
    }
}

#[test]
fn the_effective_configuration_masks_a_source_that_may_be_a_secret() {
    let text = with_secret_key("secret_key = { env = \"lower_case\" }");
    let loaded = good(&text, &[("lower_case", "key")]);
    assert!(
        loaded
            .effective
            .contains("secret_key = { env = \"***\" } # ***\n")
    );
    assert!(!loaded.effective.contains("lower_case"));
}

#[test]
fn the_name_of_a_watched_file_is_masked_for_the_log() {
    let folder = std::env::temp_dir().join(format!("liveness-gateway-mask-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(MARKER), "key").unwrap();
    let text = with_secret_key(&format!("secret_key = {{ file = \"{MARKER}\" }}"));
    let loaded = crate::config::load_text(&text, "t.toml", &folder, &environment(&[]));
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    let reloadable = loaded.settings.reloadable.credentials.unwrap();
    let (_, file) = reloadable.loader.key_and_file(1);
    assert!(file.ends_with("/***"), "{file}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_in_another_encoding_is_named_as_such() {
    let path = std::env::temp_dir().join(format!("liveness-gateway-text-{}", std::process::id()));
    let utf16: Vec<u8> = "\u{feff}[log]\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let cases: [(&[u8], &str, &str); 4] = [
        (
            b"[log]\n# caf\xe9\n",
            "line 2 has a character in another",
            "iconv -f ISO-8859-1",
        ),
        (&utf16, "not UTF-8 but UTF-16", "iconv -f UTF-16 -t UTF-8"),
        // Without the mark at its begin.
        (
            &utf16[2..],
            "not UTF-8 but UTF-16",
            "iconv -f UTF-16 -t UTF-8",
        ),
        (
            b"[log]\nlevel = \"loud\"",
            "`level` can't be `loud`",
            "write one of",
        ),
    ];
    for (bytes, message, help) in cases {
        fs::write(&path, bytes).unwrap();
        let errors = load(&path).err().unwrap().to_string();
        assert!(
            errors.contains(message) && errors.contains(help),
            "{errors}"
        );
        assert!(!errors.contains("name a TOML file"), "{errors}");
    }
    fs::remove_file(&path).unwrap();
    let errors = load(&path).err().unwrap().to_string();
    assert!(
        errors.contains("No such file") && errors.contains("name a TOML file"),
        "{errors}"
    );
}
