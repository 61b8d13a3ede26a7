//! Fetched keys are passed on with their age, and used as if they had been fetched.

use super::{algorithms::Signer, *};
use crate::{
    auth::{
        Algorithm,
        remote::{FetchTiming, FetchedKeys, KeySetLocation, RemoteKeySettings},
    },
    outbound::{
        connection::{ClientTls, client_config},
        dial::Dialer,
        origin::Url,
    },
    telemetry::{
        log::LogWriter,
        metrics::{Metrics, TextFormat},
    },
};

const HOUR: Duration = Duration::from_secs(3600);
const ENOUGH: usize = 1 << 20;

/// An identity whose keys are fetched, though not in these tests.
fn fetched(issuer: &str, allowed: Option<Algorithm>, max_stale: Duration) -> IdentitySettings {
    let settings = RemoteKeySettings {
        location: KeySetLocation::KeySet(Url::parse("http://127.0.0.1:1/keys").unwrap()),
        dialer: Dialer::default(),
        tls: ClientTls::new(client_config(None).unwrap()),
        algorithms: allowed.map(|algorithm| vec![algorithm]),
        max_stale,
        timing: FetchTiming::default(),
    };
    IdentitySettings {
        keys: KeySource::Remote(Box::new(settings)),
        ..identity(issuer, shared_secret())
    }
}

/// A process that fetched this signer's key an hour ago, beside a shared secret of its own.
fn predecessor(signer: &Signer) -> Authenticator {
    let own = identity("https://own", shared_secret());
    let before = authenticator(vec![own, fetched("https://login", None, 2 * HOUR)]);
    let text = json!({"keys": [signer.jwk()]}).to_string();
    let set = VerificationKeys::from_fetched(text.as_bytes(), None, None);
    let keys = before.remote_keys().next().unwrap();
    keys.keys.set(FetchedKeys {
        keys: set.unwrap().keys.into(),
        fetched_at: tokio::time::Instant::now().checked_sub(HOUR).unwrap(),
    });
    before
}

fn adopted(identity: IdentitySettings, passed: &[u8]) -> Authenticator {
    let after = authenticator(vec![identity]);
    after.adopt_keys(passed, &Metrics::new(LogWriter::discard()));
    after
}

#[test]
fn passed_keys_verify_tokens_and_are_as_old_as_they_were() {
    let signer = Signer::es256();
    let passed = predecessor(&signer).passed_keys(ENOUGH);
    let text = String::from_utf8(passed.clone()).unwrap();
    assert!(!text.contains("own"), "of the configuration: {text}");
    let after = authenticator(vec![fetched("https://login", None, 2 * HOUR)]);
    let metrics = Metrics::new(LogWriter::discard());
    metrics.key_sets.prepare(after.fetched_issuers());
    after.adopt_keys(&passed, &metrics);
    let token = signer.sign("{}", &good_claims().to_string());
    assert_eq!(&*authenticate(&after, &token).ok().unwrap().user, "alice");
    assert!(after.issuer_keys().missing.is_empty());
    let age = after.remote_keys().next().unwrap().keys.fetched().unwrap();
    let age = age.fetched_at.elapsed();
    assert!(age >= HOUR && age < HOUR + HOUR / 60, "{age:?}");
    let shown = metrics.encode(TextFormat::Prometheus);
    assert!(
        shown.contains("key_set_age_seconds{issuer=\"https://login\"} 360"),
        "{shown}"
    );
    // A process that has them from another one passes them on.
    let next = adopted(
        fetched("https://login", None, 2 * HOUR),
        &after.passed_keys(ENOUGH),
    );
    assert!(authenticate(&next, &token).is_ok());
}

#[test]
fn passed_keys_change_nothing_where_the_configuration_says_otherwise() {
    let signer = Signer::es256();
    let before = predecessor(&signer);
    let passed = before.passed_keys(ENOUGH);
    let token = signer.sign("{}", &good_claims().to_string());
    let unknown = |identity| {
        let after = adopted(identity, &passed);
        (
            authenticate(&after, &token).err(),
            after.issuer_keys().missing.len(),
        )
    };
    let unavailable = Some(AuthRefusal::KeysUnavailable);
    let stale = fetched("https://login", None, HOUR);
    assert_eq!(unknown(stale), (unavailable, 1), "older than max_stale");
    let other = fetched("https://login", Some(Algorithm::RS256), 2 * HOUR);
    assert_eq!(unknown(other), (unavailable, 1), "no key of that kind");
    let another = fetched("https://another", None, 2 * HOUR);
    assert_eq!(unknown(another), (Some(AuthRefusal::UnknownIssuer), 1));
    let fixed = identity("https://login", shared_secret());
    assert_eq!(unknown(fixed).0, Some(AuthRefusal::AlgorithmNotAllowed));
    assert!(before.passed_keys(passed.len() - 1).is_empty());
}

#[test]
fn what_is_no_passed_key_set_is_left_out_and_the_others_are_used() {
    let signer = Signer::es256();
    let good = predecessor(&signer).passed_keys(ENOUGH);
    let token = signer.sign("{}", &good_claims().to_string());
    let deep = "[".repeat(100_000);
    for wrong in [
        "\n\n",
        "[]",
        "{}",
        "[\"https://login\",-1,\"{}\"]",
        "[\"https://login\",0]",
        "[\"https://login\",18446744073709551615,\"{}\"]",
        "[\"https://login\",0,\"no key set\"]",
        "[\"https://login\",0,\"{\\\"keys\\\":[]}\"]",
        "\u{0}",
        &deep,
    ] {
        let passed = [wrong.as_bytes(), b"\n", &good, wrong.as_bytes()].concat();
        let after = adopted(fetched("https://login", None, 2 * HOUR), &passed);
        let shown = wrong.get(..40).unwrap_or(wrong);
        assert!(authenticate(&after, &token).is_ok(), "{shown}");
    }
}
