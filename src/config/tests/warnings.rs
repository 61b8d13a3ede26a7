//! What `check` warns of, one by one, and nothing else.

use std::time::{Duration, SystemTime};

use super::{good, minimal};

/// A PEM file with a certificate that is valid for so many days, and its key.
fn certificate(days: i64) -> (String, String) {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let now = ::time::OffsetDateTime::from(SystemTime::now());
    parameters.not_before = now - Duration::from_secs(100 * 24 * 60 * 60);
    parameters.not_after = now + ::time::Duration::days(days);
    let key = rcgen::KeyPair::generate().unwrap();
    (
        parameters.self_signed(&key).unwrap().pem(),
        key.serialize_pem(),
    )
}

fn warnings(text: &str, variables: &[(&str, &str)]) -> String {
    good(text, variables).warnings.join("\n")
}

#[test]
fn a_certificate_is_warned_of_from_two_weeks_before_its_end() {
    let folder = std::env::temp_dir().join(format!("check-warnings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (days, said) in [(-1, "has expired on"), (13, "expires on"), (15, "")] {
        let (chain, key) = certificate(days);
        let (chain_file, key_file) = (folder.join("c.pem"), folder.join("k.pem"));
        std::fs::write(&chain_file, chain).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let tls =
            format!("[server.tls]\ncertificate = {chain_file:?}\nprivate_key = {key_file:?}\n");
        let warned = warnings(&minimal(&tls), &[]);
        assert!(
            warned.contains(said) && warned.is_empty() == said.is_empty(),
            "{days}: {warned}"
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_probably_not_meant_is_warned_of() {
    let verify = "[[routes]]\npath = \"/v2/actionliveness/verify\"\nkind = \"verify\"\n";
    let session = "[[routes]]\npath = \"/v2/actionliveness/sessioncode\"\nkind = \"session\"\n";
    let everybody = "server.listen = \"0.0.0.0:8080\"\nserver.trusted_proxies = [\"::/0\"]\n";
    let halves = "server.trusted_proxies = [\"128.0.0.0/1\", \"::1\", \"0.0.0.0/1\"]\n";
    for (label, before, sections, variables, said) in [
        ("nothing", "", "", &[][..], ""),
        (
            "public",
            "server.listen = \"0.0.0.0:8080\"\n",
            "",
            &[],
            "without TLS",
        ),
        (
            "IPv6",
            "server.listen = \"[::]:8080\"\n",
            "",
            &[],
            "[::]:8080 is reachable",
        ),
        (
            "IPv6 loopback",
            "server.listen = \"[::1]:8080\"\n",
            "",
            &[],
            "",
        ),
        ("everybody", everybody, "", &[], "everybody"),
        ("everybody in halves", halves, "", &[], "everybody"),
        (
            "proxies",
            "server.listen = \"0.0.0.0:8080\"\nserver.trusted_proxies = [\"10.0.0.0/8\"]\n",
            "",
            &[],
            "",
        ),
        ("verify alone", "", verify, &[], "no session route"),
        ("session alone", "", session, &[], "no verify route"),
        (
            "unbound",
            "",
            &format!("[sessions]\nbind = false\n{verify}"),
            &[],
            "",
        ),
        (
            "one dash",
            "",
            "",
            &[("LIVENESS_GATEWAY_SERVER__LISTEN", "MARKER")],
            "has no effect",
        ),
        (
            "lower case",
            "",
            "",
            &[("liveness_gateway__log__level", "MARKER")],
            "has no effect",
        ),
        (
            "the file",
            "",
            "",
            &[("LIVENESS_GATEWAY_CONFIG", "MARKER")],
            "",
        ),
        (
            "a predecessor",
            "",
            "",
            &[("LIVENESS_GATEWAY_PREDECESSOR", "1")],
            "",
        ),
        (
            "Kubernetes",
            "",
            "",
            &[
                ("LIVENESS_GATEWAY_SERVICE_PORT_HTTP", "80"),
                ("LIVENESS_GATEWAY_PORT_80_TCP", "x"),
                ("LIVENESS_GATEWAY_PORT", "x"),
            ],
            "",
        ),
        (
            "another",
            "",
            "",
            &[("LIVENESS", "x"), ("MY_LIVENESS_GATEWAY_X", "x")],
            "",
        ),
    ] {
        let warned = warnings(&(before.to_owned() + &minimal(sections)), variables);
        let count = usize::from(!said.is_empty());
        assert_eq!(warned.lines().count(), count, "{label}: {warned}");
        assert!(
            warned.contains(said) && !warned.contains("MARKER"),
            "{label}: {warned}"
        );
    }
}
