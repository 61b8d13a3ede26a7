//! Whatever hangs, asking ends in time, and each server has its line.

use std::{cell::RefCell, collections::BTreeMap, net::TcpListener, path::Path};

use super::*;
use crate::config;

/// Settings that lead to this port for everything.
fn settings(port: u16) -> Settings {
    let text = format!(
        "[outbound]\nproxy = {{ env = \"PROXY\" }}\n\
         [qiniu]\nendpoint = \"https://qiniu.example\"\n\
         access_key = {{ env = \"KEY\" }}\nsecret_key = {{ env = \"KEY\" }}\n\
         [[identity]]\nissuer = \"http://127.0.0.1:{port}\"\naudience = \"a\"\n\
         [[identity]]\nissuer = \"x\"\naudience = \"a\"\n\
         jwks_url = \"https://127.0.0.1:{port}/keys\"\n\
         [sessions]\nbind = false\n\
         [store]\nredis = {{ env = \"REDIS\" }}\n\
         [verdict]\nsigning_key = {{ env = \"SIGNING\" }}\nissuer = \"g\"\naudience = \"b\"\n\
         [evidence]\nurl = \"http://127.0.0.1:{port}/\"\nsecret = {{ env = \"WEBHOOK\" }}\n\
         [telemetry]\notlp_endpoint = \"http://127.0.0.1:{port}\"\n"
    );
    let signing = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
                   -----END PRIVATE KEY-----\n";
    let variables = [
        ("PROXY", format!("http://127.0.0.1:{port}")),
        ("REDIS", format!("redis://127.0.0.1:{port}")),
        ("KEY", "key".into()),
        ("SIGNING", signing.into()),
        ("WEBHOOK", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let variables: BTreeMap<_, _> = variables.into();
    let loaded = config::load_text(&text, "test.toml", Path::new("."), &variables);
    loaded.unwrap_or_else(|errors| panic!("{errors}")).settings
}

#[tokio::test]
async fn asking_ends_in_time_whatever_hangs() {
    // Connections are accepted by the system, and by nobody else.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines = RefCell::new(Vec::new());
    let begun = Instant::now();
    let tell = |line: &ServerLine| lines.borrow_mut().push(line.to_string());
    let asked = ask_within(Duration::from_millis(200), settings(port), tell).await;
    // Left to itself, an issuer has ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(9));
    let lines = lines.into_inner();
    let counted = AskedServers {
        all: 7,
        failed: 6,
        odd: 1,
    };
    assert_eq!(asked, counted, "{lines:#?}");
    for (line, begin) in lines.iter().zip([
        "FAILED   proxy     http://127.0.0.1:",
        "FAILED   Qiniu     https://qiniu.example: ",
        "FAILED   issuer    http://127.0.0.1:",
        "FAILED   issuer    x: ",
        "FAILED   store     redis://127.0.0.1:",
        "FAILED   evidence  http://127.0.0.1:",
        "warning  traces    http://127.0.0.1:",
    ]) {
        assert!(line.starts_with(begin), "{begin}: {line}");
        assert!(
            line.contains("within") || line.contains("in time"),
            "{line}"
        );
    }
}
