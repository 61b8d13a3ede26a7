//! `[verdict]`, `[evidence]` and `response.scores`: valid and invalid settings.

use std::{fs, time::Duration};

use super::{good, load, minimal, wrong::only};
use crate::{evidence::DeliveryCondition, verdict::judge::ScoreThreshold};

pub(super) const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
/// RFC 7515 appendix A.3.
const EC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\nH1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n-----END PRIVATE KEY-----\n";
pub(super) const WEBHOOK: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const VERDICT: &str = "[verdict]\nsigning_key = { env = \"PRIVATE\" }\nissuer = \"https://gateway.example.com\"\naudience = \"backend\"\n";
const EVIDENCE: &str =
    "[evidence]\nurl = \"http://127.0.0.1:3000/liveness\"\nsecret = { env = \"WEBHOOK\" }\n";
const KEYS: &[(&str, &str)] = &[
    ("PRIVATE", PRIVATE),
    ("PUBLIC", PUBLIC),
    ("WEBHOOK", WEBHOOK),
    ("SHORT", "whsec_AAAA"),
];

/// Expects exactly one error, with this message or help, at this part of the text.
fn one(more: &str, message: &str, part: &str) {
    let shown = only(&minimal(more), KEYS, message, part);
    assert!(!shown.contains("nWGxne") && !shown.contains("MfKQ"));
}

#[test]
fn without_the_sections_there_are_no_verdicts_and_no_evidence() {
    let settings = good(&minimal(""), &[]).settings;
    assert!(settings.verdict.is_none() && settings.evidence.is_none());
    assert!(settings.routes.iter().all(|route| !route.scores_hidden));
}

#[test]
fn written_values_replace_the_defaults() {
    let loaded = good(&minimal(&format!("{VERDICT}{EVIDENCE}")), KEYS);
    let (verdict, evidence) = (
        loaded.settings.verdict.unwrap(),
        loaded.settings.evidence.unwrap(),
    );
    assert_eq!(
        (verdict.rule.threshold, verdict.rule.max_spoofing),
        (ScoreThreshold::Frr1e3, 1.0)
    );
    assert_eq!(verdict.lifetime, Duration::from_secs(300));
    assert!(!verdict.video_digest && verdict.keys.previous_keys.is_empty());
    assert!(verdict.copy_claims.is_empty());
    assert_eq!(
        (evidence.on, evidence.required, evidence.timeout),
        (DeliveryCondition::Pass, false, Duration::from_secs(5))
    );
    assert!(evidence.tls.is_none());
    // The output can be loaded, has the same effect, and contains no secret.
    assert!(!loaded.effective.contains("MfKQ") && !loaded.effective.contains("MC4C"));
    assert!(loaded.effective.contains("max_spoofing = 1.0\n"));
    assert_eq!(good(&loaded.effective, KEYS).effective, loaded.effective);
    let more = format!(
        "{VERDICT}lifetime = \"1min\"\nthreshold = \"frr_1e-2\"\nmax_spoofing = 0.25\nvideo_digest = true\n\
         [evidence]\nurl = \"https://app.example.com/x\"\nsecret = {{ env = \"WEBHOOK\" }}\non = \"always\"\nrequired = true\n\
         [[routes]]\npath = \"/v\"\nkind = \"verify\"\nresponse.scores = \"hidden\"\n"
    );
    let settings = good(&minimal(&more), KEYS).settings;
    let (verdict, evidence) = (settings.verdict.unwrap(), settings.evidence.unwrap());
    assert_eq!(
        (verdict.rule.threshold, verdict.rule.max_spoofing),
        (ScoreThreshold::Frr1e2, 0.25)
    );
    assert!(verdict.video_digest && evidence.required && evidence.tls.is_some());
    assert_eq!(evidence.on, DeliveryCondition::Always);
    assert!(settings.routes[0].scores_hidden);
}

#[test]
fn a_fraction_may_be_a_whole_number_or_come_from_a_variable() {
    for (line, wanted) in [
        ("0", 0.0),
        ("1", 1.0),
        ("0.50", 0.5),
        ("5e-1", 0.5),
        ("0.1_5", 0.15),
    ] {
        let text = minimal(&format!("{VERDICT}max_spoofing = {line}\n"));
        let verdict = good(&text, KEYS).settings.verdict.unwrap();
        assert_eq!(verdict.rule.max_spoofing, wanted, "{line}");
    }
    let over = |value| {
        let mut keys = KEYS.to_vec();
        keys.push(("LIVENESS_GATEWAY__VERDICT__MAX_SPOOFING", value));
        load(&minimal(VERDICT), &keys)
    };
    let settings = over("0.5").ok().unwrap().settings;
    assert_eq!(settings.verdict.unwrap().rule.max_spoofing, 0.5);
    for wrong in ["x", "", "NaN", "1.5", "-0.1"] {
        let shown = over(wrong).err().unwrap().to_string();
        assert!(
            shown.contains("LIVENESS_GATEWAY__VERDICT__MAX_SPOOFING"),
            "{shown}"
        );
    }
}

#[test]
fn each_mistake_in_a_verdict_has_its_location_and_help() {
    let with = |line: &str| format!("{VERDICT}{line}\n");
    let without = |name: &str| {
        let kept = VERDICT.lines().filter(|line| !line.starts_with(name));
        kept.flat_map(|line| [line, "\n"]).collect::<String>()
    };
    one(&without("issuer"), "`issuer` is missing", "verdict]");
    one(&without("audience"), "`audience` is missing", "verdict]");
    one(
        &without("signing_key"),
        "`signing_key` is missing",
        "verdict]",
    );
    one(
        &VERDICT.replace("\"PRIVATE\"", "\"PUBLIC\""),
        "keygen verdict",
        "\"PUBLIC\"",
    );
    one(
        &VERDICT.replace("{ env = \"PRIVATE\" }", "\"MC4\""),
        "must say where the secret is",
        "\"MC4\"",
    );
    for (line, message, part) in [
        (
            "threshold = \"frr_1e-5\"",
            "write one of: frr_1e-4, frr_1e-3, frr_1e-2",
            "\"frr_1e-5\"",
        ),
        ("threshold = \"\"", "`threshold` is empty", "\"\""),
        ("max_spoofing = 1.1", "from 0.0 to 1.0", "1.1"),
        ("max_spoofing = -0.1", "is out of range", "-0.1"),
        ("max_spoofing = nan", "is out of range", "nan"),
        ("max_spoofing = inf", "is out of range", "inf"),
        ("max_spoofing = 2", "is out of range", "2\n"),
        ("max_spoofing = \"0.5\"", "can't be a text", "\"0.5\""),
        ("lifetime = \"2h\"", "to \"1h\"", "\"2h\""),
        (
            "previous_keys = \"none.pem\"",
            "can't be read",
            "\"none.pem\"",
        ),
        (
            "previous_keys = \"gateway.toml\"",
            "openssl pkey",
            "\"gateway.toml\"",
        ),
        ("video_digest = \"yes\"", "can't be a text", "\"yes\""),
    ] {
        one(&with(line), message, part);
    }
}

#[test]
fn copied_claims_have_names_of_their_own() {
    for (line, message, part) in [
        (
            "copy_claims = [\"txn\", \"\"]",
            "is empty or longer",
            "\"\"]",
        ),
        (
            "copy_claims = [\"a\", \"b\", \"a\"]",
            "`copy_claims` has the name `a` twice",
            "\"a\"]",
        ),
        ("copy_claims = [1]", "can't be a number", "1]"),
    ] {
        one(&format!("{VERDICT}{line}\n"), message, part);
    }
}

#[test]
fn a_verdict_repeats_at_most_sixteen_claims() {
    let line = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("\"c{number}\"")).collect();
        format!("{VERDICT}copy_claims = [{}]\n", names.join(", "))
    };
    let verdict = good(&minimal(&line(16)), KEYS).settings.verdict.unwrap();
    assert_eq!(verdict.copy_claims.len(), 16);
    one(&line(17), "`copy_claims` has more than 16 names", "\"c16\"");
    let single = format!("{VERDICT}copy_claims = \"txn\"\n");
    let verdict = good(&minimal(&single), KEYS).settings.verdict.unwrap();
    assert_eq!(verdict.copy_claims, ["txn"]);
    let long = |length| format!("{VERDICT}copy_claims = \"{}\"\n", "n".repeat(length));
    assert!(load(&minimal(&long(128)), KEYS).is_ok());
    one(&long(129), "empty or longer than 128 bytes", "\"nnn");
}

#[test]
fn either_kind_of_key_signs() {
    let keys = [("PRIVATE", EC_PRIVATE)];
    let verdict = good(&minimal(VERDICT), &keys).settings.verdict.unwrap();
    assert_eq!(verdict.keys.signing_key.public().algorithm(), "ES256");
    let verdict = good(&minimal(VERDICT), KEYS).settings.verdict.unwrap();
    assert_eq!(verdict.keys.signing_key.public().algorithm(), "EdDSA");
}

#[test]
fn a_private_key_must_not_be_published() {
    let path = std::env::temp_dir().join(format!("liveness-gateway-key-{}", std::process::id()));
    fs::write(&path, PRIVATE).unwrap();
    let line = format!(
        "{VERDICT}previous_keys = [{:?}]\n",
        path.display().to_string()
    );
    one(&line, "must not be published", "\"/");
    fs::write(&path, PUBLIC).unwrap();
    assert!(load(&minimal(&line), KEYS).is_ok());
    fs::remove_file(path).unwrap();
}

#[test]
fn a_rule_that_nothing_could_pass_is_an_error() {
    let route = |more: &str| {
        format!(
            "{VERDICT}max_spoofing = 0.5\n[[routes]]\npath = \"/v\"\nkind = \"verify\"\n{more}\n"
        )
    };
    let fields = "request.fields = [\"session_id\", \"video_base64\"]";
    one(&route(fields), "no verdict of /v could ever pass", "0.5");
    assert!(load(&minimal(&route("")), KEYS).is_ok());
    assert!(load(&minimal(&route(fields).replace("0.5", "1.0")), KEYS).is_ok());
    // A pin is sent whatever `request.fields` says, and an unlisted member is not.
    let pin = |value: &str| format!("request.set = {{ face_field = \"{value}\" }}");
    for asks in ["spoofing", "quality,spoofing"] {
        assert!(load(&minimal(&route(&pin(asks))), KEYS).is_ok());
        let both = format!("{fields}\n{}", pin(asks));
        assert!(load(&minimal(&route(&both)), KEYS).is_ok());
    }
    for deaf in ["quality", "", "nospoofing"] {
        let wanted = "the `face_field` of the route's `request.set`";
        one(&route(&pin(deaf)), wanted, "0.5");
        let both = format!("{fields}\n{}", pin(deaf));
        one(&route(&both), wanted, "0.5");
        assert!(load(&minimal(&route(&both).replace("0.5", "1.0")), KEYS).is_ok());
    }
    one(
        &format!("{VERDICT}[[routes]]\npath = \"/p\"\nkind = \"plain\"\n"),
        "[verdict] needs a verify route",
        "verdict]",
    );
}

#[test]
fn each_mistake_in_evidence_has_its_location_and_help() {
    let with = |line: &str| format!("{VERDICT}{EVIDENCE}{line}\n");
    one(EVIDENCE, "[evidence] needs [verdict]", "evidence]");
    one(
        &with("").replace("url = \"http://127.0.0.1:3000/liveness\"\n", ""),
        "`url` is missing",
        "evidence]",
    );
    for url in [
        "app.example.com",
        "ftp://a/",
        "https://u@a/",
        "https://a/#b",
        "/x",
    ] {
        let text = with("").replace("http://127.0.0.1:3000/liveness", url);
        one(&text, "is not a URL", &format!("\"{url}\""));
    }
    let open = with("").replace("127.0.0.1:3000", "app.internal");
    one(&open, "would send faces in the clear", "\"http://app");
    assert!(load(&minimal(&format!("{open}allow_plaintext = true\n")), KEYS).is_ok());
    one(
        &with("").replace("\"WEBHOOK\"", "\"SHORT\""),
        "24 to 64 bytes",
        "\"SHORT\"",
    );
    one(
        &with("").replace("\"WEBHOOK\"", "\"PRIVATE\" } #"),
        "whsec_",
        "\"PRIVATE\" } #",
    );
    for (line, message, part) in [
        ("on = \"fail\"", "write one of: pass, always", "\"fail\""),
        ("timeout = \"0s\"", "write a duration like", "\"0s\""),
        ("required = 1", "can't be a number", "1\n"),
        ("ca_file = \"none.pem\"", "none.pem", "\"none.pem\""),
    ] {
        one(&with(line), message, part);
    }
}

#[test]
fn scores_can_be_hidden_on_verify_routes_only() {
    for kind in ["session", "plain"] {
        one(
            &format!(
                "[[routes]]\npath = \"/p\"\nkind = \"{kind}\"\nresponse.scores = \"hidden\"\n"
            ),
            "`response.scores` is for verify routes",
            "[[routes]]",
        );
    }
    one(
        "[[routes]]\npath = \"/p\"\nkind = \"verify\"\nresponse.scores = \"none\"\n",
        "write one of: visible, hidden",
        "\"none\"",
    );
}
