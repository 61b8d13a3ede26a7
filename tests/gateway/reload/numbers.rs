//! Numbers live on over a reload, and what a new configuration has stands at 0 from then on.

use liveness_gateway::emulator::Scenario;

use super::{Reloaded, configuration, value};
use crate::support::{SESSIONCODE, VERIFY, emulator, routes};

/// `[[identity]]` whose keys are fetched, in vain.
fn fetched(name: &str) -> String {
    format!(
        "[[identity]]\nissuer = \"https://{name}.example\"\naudience = \"a\"\n\
         jwks_url = \"http://127.0.0.1:1/\"\n"
    )
}

#[tokio::test]
async fn numbers_live_on_and_new_routes_and_issuers_have_theirs() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let mut file = Reloaded::start(configuration(qiniu, &(fetched("old") + &routes()))).await;
    let answer = file.gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let renamed = "/v2/another/verify";
    let text = file.text.replace("old.example", "new.example");
    file.write(text.replace(VERIFY, renamed)).await;
    let answer = file.gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let counted = format!("requests_total{{route=\"{SESSIONCODE}\",status=\"200\",code=\"ok\"}}");
    let (old, new) = (
        "issuer=\"https://old.example\"",
        "issuer=\"https://new.example\"",
    );
    let metrics = file.gateway.metrics().await;
    for (sample, expected) in [
        (counted.clone(), "2"),
        (format!("billed_calls_total{{route=\"{VERIFY}\"}}"), "0"),
        (format!("billed_calls_total{{route=\"{renamed}\"}}"), "0"),
        (
            format!("limit_refusals_total{{route=\"{renamed}\",limit=\"quota\"}}"),
            "0",
        ),
        (
            format!("key_set_fetches_total{{{old},outcome=\"success\"}}"),
            "0",
        ),
        (
            format!("key_set_fetches_total{{{new},outcome=\"success\"}}"),
            "0",
        ),
        (
            "clock_skew_seconds{peer=\"https://new.example\"}".to_owned(),
            "0",
        ),
    ] {
        assert_eq!(value(&metrics, &sample), expected, "{sample}");
    }
    let ages = |metrics: &str| {
        let age = |issuer| metrics.contains(&format!("key_set_age_seconds{{{issuer}}} "));
        (age(old), age(new))
    };
    assert_eq!(ages(&metrics), (false, true), "nobody fetches the old keys");
    // What is refused prepares and ends nothing.
    let wrong = file.text.replace("new.example", "third.example");
    file.refuse(&wrong.replace("jwks_url", "jwks_urn")).await;
    let metrics = file.gateway.metrics().await;
    assert_eq!(ages(&metrics), (false, true));
    assert!(!metrics.contains("third.example"), "{metrics}");
    assert_eq!(value(&metrics, &counted), "2");
}

#[tokio::test]
async fn a_configuration_that_fetches_no_keys_ends_no_series() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let file = Reloaded::start(configuration(qiniu, &routes())).await;
    // Valid, but with it nobody could call: no issuer has keys.
    let (front, identity) = file.text.split_once("[[identity]]").unwrap();
    let (_, rest) = identity.split_once("[[routes]]").unwrap();
    let nobody = format!("{front}{}[[routes]]{rest}", fetched("unreachable"));
    let before = file.gateway.metrics().await;
    file.refuse(&nobody).await;
    let metrics = file.gateway.metrics().await;
    let age = "key_set_age_seconds{issuer=\"https://unreachable.example\"}";
    assert!(!metrics.contains(age), "{metrics}");
    assert!(!metrics.contains("clock_skew_seconds{peer=\"https://unreachable.example\"}"));
    assert!(before.contains("clock_skew_seconds{peer=\"qiniu\"} 0\n"));
    assert!(metrics.contains("clock_skew_seconds{peer=\"qiniu\"} 0\n"));
}
