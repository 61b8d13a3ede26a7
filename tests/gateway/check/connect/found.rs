//! What is said of servers that can be used.

use liveness_gateway::emulator::Scenario;

use super::{
    code, connect, evidence, fixed, fixed_line, has_lines, stderr, stdout, traces, trusting,
};
use crate::support::{
    emulator,
    identity::{Does, KEYS, Provider, Signer},
    proxy::{self, LOGIN, PASSWORD, Proxy},
    secure::{self, Authority},
    upstream,
};

#[tokio::test]
async fn each_server_has_a_line_that_says_what_was_found_and_no_call_is_made() {
    let authority = Authority::new();
    let (_folder, ca_file) = trusting(&authority);
    let (qiniu, calls) = emulator(Scenario::Pass).await;
    let front = secure::front(&authority, qiniu).await;
    let proxy = Proxy::start(None, &[("qiniu.example:443", front)]).await;
    proxy.does(proxy::Does::TunnelFor(LOGIN));
    let keys = vec![Signer::new("one").jwk(), Signer::ed25519("two").jwk()];
    let issuer = Provider::start_with(keys, Some(authority.acceptor())).await;
    let fresh = "Cache-Control: max-age=600\r\n".to_owned();
    issuer.does(KEYS, Does::WellWith(fresh));
    // An HTTP server like any other.
    let (backend, deliveries) = emulator(Scenario::Pass).await;
    let collector = upstream::Does::Answer(upstream::answer("200 OK", "{}"));
    let collector = upstream::start(collector).await;
    let more = [
        "[outbound]\nproxy = { env = \"PROXY\" }\n".to_owned(),
        issuer.identity(&ca_file),
        fixed(),
        evidence(&format!("http://{backend}/liveness")),
        traces(collector.address),
    ]
    .concat();
    let secrets = [("PROXY", format!("http://ann:{PASSWORD}@{}", proxy.address))];
    let qiniu = format!("endpoint = \"https://qiniu.example\"\n{ca_file}");
    let until = "TLS 1.3, certificate until 4096-01-01T00:00:00.000Z";
    let lines = [
        format!(
            "ok       proxy     http://{}: opens a tunnel to qiniu.example",
            proxy.address
        ),
        format!(
            "ok       Qiniu     https://qiniu.example: {until}, answers GET / with 404, clock \
             right, through the proxy; its keys are not checked"
        ),
        format!(
            "ok       issuer    {}: 2 keys for ES256, EdDSA, fetched again every 600s, clock \
             unknown",
            issuer.issuer()
        ),
        fixed_line(),
        format!(
            "ok       evidence  http://{backend}: no TLS, answers OPTIONS with 404, clock right"
        ),
        format!(
            "ok       traces    http://{}: no TLS, answers an empty batch with 200",
            collector.address
        ),
    ];
    let output = connect(&qiniu, &more, &["--strict"], &secrets).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains(": the configuration is valid\n"));
    has_lines(&output, &lines);
    // With `--print`, all of it is TOML.
    let output = connect(&qiniu, &more, &["--print"], &secrets).await;
    has_lines(&output, &lines.map(|line| format!("# {line}")));
    let printed: toml::Table = stdout(&output).parse().unwrap();
    assert!(printed.contains_key("qiniu"));
    assert_eq!(collector.last_body(), b"{\"resourceSpans\":[]}");
    // Nothing was signed, so nothing can have been billed or delivered.
    for calls in [calls, deliveries] {
        let made = (calls.session_calls(), calls.verify_calls());
        assert_eq!((made, calls.signature_failures()), ((0, 0), 0));
    }
}
