//! Secrets: how they are read, and that no output shows one.

use std::{fs, path::PathBuf, process::Command, thread};

use super::{
    SEAL_KEY, good, minimal, report,
    verdict::{PRIVATE, WEBHOOK},
};

const MARKER: &str = "MARKER-0123456789-0123456789-0123456789";

/// A folder that is removed at the end of a test.
struct SecretFolder(PathBuf);

impl SecretFolder {
    fn new(test: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("liveness-gateway-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// `{ file = "…" }` for a new file with these bytes.
    fn secret(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        format!("{{ file = {:?} }}", path.display().to_string())
    }
}

impl Drop for SecretFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_key_of_qiniu_s_with_what_no_key_has_is_refused_and_not_repeated() {
    let folder = SecretFolder::new("foreign");
    for (bytes, what) in [
        ("MARKER \n", "white space"),
        ("MARKER\n\n", "white space"),
        (" MARKER", "white space"),
        ("MAR KER", "white space"),
        ("MARKER\u{a0}", "white space"),
        ("\"MARKER\"", "quotes"),
        ("'MARKER'", "quotes"),
        ("\u{201c}MARKER\u{201d}", "quotes"),
        ("\u{feff}MARKER", "a byte order mark"),
        ("MARKER\u{200b}", "invisible characters"),
        ("MAR\u{0}KER", "control characters"),
        ("MARKER\u{1b}[0m", "control characters"),
    ] {
        let source = folder.secret("key", bytes.as_bytes());
        for (name, env) in [("access_key", "AK"), ("secret_key", "SK")] {
            let text = minimal("").replace(&format!("{{ env = \"{env}\" }}"), &source);
            let report = report(&text, &[]).to_string();
            let wanted = format!("`{name}` contains {what}");
            assert!(report.contains(&wanted), "{bytes:?}: {report}");
            assert!(!report.contains("MARKER"), "{report}");
        }
    }
    let utf16 = folder.secret("key", b"\xff\xfeM\0A\0");
    let text = minimal("").replace("{ env = \"SK\" }", &utf16);
    assert!(
        report(&text, &[])
            .to_string()
            .contains("bytes that are no text")
    );
    let newline = folder.secret("key", b"MARKER\r\n");
    good(&minimal("").replace("{ env = \"SK\" }", &newline), &[]);
}

#[test]
fn other_secrets_that_end_in_white_space_are_warned_of_and_not_repeated() {
    let folder = SecretFolder::new("oddities");
    let warnings = |written: &[u8]| {
        let source = folder.secret("jwt", written);
        let text = minimal("").replace("{ env = \"HMAC\" }", &source);
        good(&text, &[]).warnings
    };
    let odd = warnings(format!("{MARKER} \n").as_bytes());
    let [warning] = &odd[..] else {
        panic!("{odd:?}");
    };
    assert!(warning.contains("jwt` ends in white space"), "{warning}");
    assert!(!warning.contains("MARKER"), "{warning}");
    assert!(warnings(format!("{MARKER}\n").as_bytes()).is_empty());
}

#[test]
fn an_empty_or_huge_secret_is_refused() {
    let folder = SecretFolder::new("sizes");
    for (bytes, message) in [
        (Vec::new(), "is empty"),
        (b"\n".to_vec(), "is empty"),
        (vec![b'x'; 65 * 1024], "is too large for a secret"),
    ] {
        let source = folder.secret("key", &bytes);
        let report = report(&minimal("").replace("{ env = \"SK\" }", &source), &[]).to_string();
        assert!(report.contains(message), "{report}");
    }
}

#[test]
fn a_huge_file_of_keys_is_refused() {
    let folder = SecretFolder::new("documents");
    let path = folder.0.join("keys.json");
    for (bytes, message) in [
        (1024 * 1024, "not a JSON Web Key Set"),
        (1024 * 1024 + 1, "is too large"),
    ] {
        fs::write(&path, " ".repeat(bytes)).unwrap();
        let keys = format!("jwks_file = {:?}", path.display().to_string());
        let text = minimal("").replace("secret = { env = \"HMAC\" }", &keys);
        let report = report(&text, &[]).to_string();
        assert!(report.contains(message), "{report}");
    }
}

#[test]
fn a_file_is_reloadable_and_a_pipe_is_read_once() {
    let folder = SecretFolder::new("pipes");
    let source = folder.secret("file", b"key");
    let in_file = |source: &str| minimal("").replace("{ env = \"SK\" }", source);
    let reloadable = |text: &str| good(text, &[]).settings.reloadable.credentials.is_some();
    assert!(reloadable(&in_file(&source)));
    assert!(!reloadable(&minimal("")));

    let path = folder.0.join("pipe");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let source = format!("{{ file = {:?} }}", path.display().to_string());
    let writer = thread::spawn(move || fs::write(path, "key\n").unwrap());
    let settings = good(&in_file(&source), &[]).settings;
    writer.join().unwrap();
    assert_eq!(settings.qiniu.credentials.secret_key.reveal(), b"key");
    assert!(settings.reloadable.credentials.is_none());
}

#[cfg(feature = "redis")]
#[test]
fn every_ca_file_is_reloadable() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = SecretFolder::new("authorities");
    let path = folder.0.join("ca.pem");
    fs::write(&path, made.cert.pem()).unwrap();
    let ca_file = format!("ca_file = {:?}", path.display().to_string());
    let text = minimal("").replace("[qiniu]", &format!("[qiniu]\n{ca_file}"));
    let sections = [
        "[[identity]]\nissuer = \"https://a/\"\naudience = \"b\"",
        "[verdict]\nsigning_key = { env = \"PRIVATE\" }\nissuer = \"https://a\"\naudience = \"b\"\n\
         [evidence]\nurl = \"https://a/\"\nsecret = { env = \"WEBHOOK\" }",
        "[sessions]\nbind = false\n[store]\nredis = { env = \"REDIS\" }",
    ];
    let sections = sections.map(|section| format!("{section}\n{ca_file}\n"));
    let secrets = [
        ("PRIVATE", PRIVATE),
        ("WEBHOOK", WEBHOOK),
        ("REDIS", "redis://localhost"),
    ];
    let settings = good(&format!("{text}{}", sections.concat()), &secrets).settings;
    assert_eq!(settings.reloadable.authorities.len(), 4);
    assert!(
        good(&minimal(""), &[])
            .settings
            .reloadable
            .authorities
            .is_empty()
    );
}

#[test]
fn an_invalid_key_is_reported_beside_one_that_is_missing() {
    let text = minimal("").replace("{ env = \"SK\" }", "{ env = \"NONE\" }");
    let report = report(&text, &[("AK", "a b")]).to_string();
    assert!(
        report.contains("`NONE` is not set") && report.contains("contains white space"),
        "{report}"
    );
}

#[test]
fn the_effective_configuration_masks_secrets() {
    let folder = SecretFolder::new("masks");
    let source = folder.secret("key", MARKER.as_bytes());
    let text = minimal("").replace("{ env = \"SK\" }", &source);
    let loaded = good(&text, &[("AK", MARKER), ("HMAC", MARKER)]);
    assert!(!loaded.effective.contains("MARKER"), "{}", loaded.effective);
    assert!(
        loaded
            .effective
            .contains("access_key = { env = \"AK\" } # ***\n")
    );
}

#[test]
fn no_error_shows_a_secret_that_is_where_it_belongs() {
    let folder = SecretFolder::new("reports");
    let source = folder.secret("key", MARKER.as_bytes());
    let more = "[server]\nlisten = 5\nmax_head_bytes = \"1B\"\n[tracing]\n";
    let text = minimal(more)
        .replace("{ env = \"SK\" }", &source)
        .replace("audience", "algorithms = \"RS256\"\naudience");
    // The access key is rejected for its blank, the shared secret because it does not fit.
    let blank = format!("{MARKER} ");
    let report = report(&text, &[("AK", &blank), ("HMAC", MARKER)]);
    assert_eq!(report.len(), 5, "{report}");
    assert!(
        !format!("{report} {report:?}").contains("MARKER"),
        "{report}"
    );
    let short = super::report(&minimal(""), &[("HMAC", "MARKER")]);
    assert!(!format!("{short} {short:?}").contains("MARKER"), "{short}");
}

#[test]
fn no_error_shows_a_secret_that_is_in_the_file_by_mistake() {
    for line in [
        format!("secret_key = \"{MARKER}\""),
        format!("secret_key = \"\"\"\n{MARKER}\"\"\""),
        format!("secret_key = {{ value = \"{MARKER}\" }}"),
        format!("secret_key = {{ env = \"A\", file = \"{MARKER}\" }}"),
        format!("secret_key = [\"{MARKER}\"]"),
        format!("secret_kye = \"{MARKER}\""),
        format!("SECRET = '\u{e9}{MARKER}'"),
        format!("secret_key = {MARKER}"),
        format!("secret_key = \"{MARKER}"),
        format!("secret_key: {MARKER}"),
    ] {
        let text = minimal("").replace("secret_key = { env = \"SK\" }", &line);
        let report = report(&text, &[]);
        assert!(
            !format!("{report} {report:?}").contains("MARKER"),
            "{line}\n{report}"
        );
    }
    // Nor for another error on its line.
    let text = format!(
        "qiniu = {{ access_key = \"{MARKER}\", sign_dat = true }}\n{}",
        super::IDENTITY
    );
    let report = report(&text, &[]);
    assert!(report.to_string().contains("unknown key `sign_dat`"));
    assert!(!report.to_string().contains("MARKER"), "{report}");
}

#[test]
fn sessions_are_bound_unless_the_operator_says_otherwise() {
    let bound = |more: &str| good(&minimal(more), &[("KEY", SEAL_KEY)]).settings.sessions;
    let settings = bound("").unwrap();
    assert!(settings.seal_key.is_none() && settings.previous_seal_key.is_none());
    assert!(bound("[sessions]\nbind = false\n").is_none());
    let settings = bound("[sessions]\nseal_key = { env = \"KEY\" }\n").unwrap();
    assert!(settings.seal_key.is_some());
}
