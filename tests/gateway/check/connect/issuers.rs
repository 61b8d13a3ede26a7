//! Issuers that fail, each in its own way.

use std::time::{Duration, SystemTime};

use liveness_gateway::emulator::Scenario;
use rcgen::date_time_ymd;
use serde_json::{Value, json};

use super::{code, connect, has_lines, stderr, trusting};
use crate::support::{
    emulator,
    identity::{DISCOVERY, Does, KEYS, Provider, Signer, section},
    secure::Authority,
    upstream,
};

fn keys() -> Vec<Value> {
    vec![Signer::new("one").jwk()]
}

#[tokio::test]
async fn each_way_in_which_an_issuer_fails_is_told_with_the_key_to_look_at() {
    let (_socket, refusing) = upstream::not_listening();
    let down = format!("http://{refusing}");
    let other = Provider::start(keys()).await;
    let wrong = other.issuer();
    other.set_issuer("https://other.example/");
    let empty = Provider::start(Vec::new()).await;
    let restricted = Provider::start(keys()).await;
    let url = format!(
        "jwks_url = \"http://{}/keys?k=MARKER\"\n",
        restricted.address
    );
    let missing = Provider::start(keys()).await;
    let not_found = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    missing.does(DISCOVERY, Does::Answer(not_found.to_vec()));
    let more = [
        section(&down, ""),
        section(&wrong, ""),
        empty.identity(""),
        section("restricted", &(url + "algorithms = [\"RS256\"]")),
        missing.identity(""),
        section("https://no-such-host.invalid", ""),
    ];
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let endpoint = format!("endpoint = \"http://{qiniu}\"");
    let output = connect(&endpoint, &more.concat(), &[], &[]).await;
    assert_eq!(code(&output), 1);
    let failed = "error: 6 of 7 failed, as the lines above say\n";
    assert_eq!(stderr(&output), failed);
    let line = |issuer: &str, parts| format!("FAILED   issuer    {issuer}: | {parts}");
    has_lines(
        &output,
        &[
            format!("ok       Qiniu     http://{qiniu}: no TLS"),
            line(
                &down,
                "Connection refused | firewalls | (identity[0].issuer)",
            ),
            line(
                &wrong,
                "for the issuer \"https://other.example/\" | exactly equal | (identity[1].issuer)",
            ),
            line(&empty.issuer(), "no keys | (identity[2].issuer)"),
            line("restricted", "no key for any | (identity[3].algorithms)"),
            line(
                &missing.issuer(),
                "it answered 404 | check the path | (identity[4].issuer)",
            ),
            line(
                "https://no-such-host.invalid",
                "name can't be resolved | DNS | (identity[5].issuer)",
            ),
        ],
    );
}

#[tokio::test]
async fn certificates_of_issuers_are_judged_and_what_is_odd_about_keys_is_a_warning() {
    let authority = Authority::new();
    let (_folder, ca_file) = trusting(&authority);
    let expired = authority.acceptor_with(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let expired = Provider::start_with(keys(), Some(expired)).await;
    let untrusted = Authority::new().acceptor();
    let untrusted = Provider::start_with(keys(), Some(untrusted)).await;
    let no_key = json!({"kty": "RSA", "e": "AQAB"});
    let odd = Provider::start([keys(), vec![no_key]].concat()).await;
    let ahead = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    odd.does(KEYS, Does::WellWith(format!("Date: {ahead}\r\n")));
    let more = [
        expired.identity(&ca_file),
        untrusted.identity(&ca_file),
        odd.identity(""),
    ];
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let endpoint = format!("endpoint = \"http://{qiniu}\"");
    let output = connect(&endpoint, &more.concat(), &[], &[]).await;
    assert_eq!(code(&output), 1);
    let failed = |issuer: &Provider| format!("FAILED   issuer    {}: ", issuer.issuer());
    has_lines(
        &output,
        &[
            format!("ok       Qiniu     http://{qiniu}: no TLS"),
            failed(&expired) + " | xpired | renew that certificate",
            failed(&untrusted) + " | authority is a private one | (identity[1].ca_file)",
            format!(
                "warning  issuer    {}: 1 key for ES256 | left out key 2 | machine's is +3 | NTP",
                odd.issuer()
            ),
        ],
    );
}
