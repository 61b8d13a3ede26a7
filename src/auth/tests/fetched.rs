//! Fetched key sets: which keys stay the same, which are left out, and which algorithms are
//! allowed.

use super::{algorithms::Signer, key_sets::set, *};
use crate::auth::{Algorithm, key_set::FetchedKeySet};

#[test]
fn a_key_that_is_still_published_stays_the_same_key() {
    let (kept, removed, added) = (Signer::ed25519(), Signer::es256(), Signer::es256());
    let named = |signer: &Signer, id: &str| set(signer.jwk(), &[("kid", json!(id))]);
    let read = |keys: &[Value], previous: Option<&VerificationKeys>| {
        let text = json!({"keys": keys}).to_string();
        let fetched = VerificationKeys::from_fetched(text.as_bytes(), None, previous);
        fetched.unwrap().keys
    };
    let first = read(&[named(&kept, "a"), named(&removed, "b")], None);
    let again = read(&[named(&kept, "a"), named(&removed, "b")], Some(&first));
    assert!(again.is_same(&first));
    // Another key or another id is a new key. The same key with a redundant member is not.
    for other in [
        named(&added, "b"),
        named(&removed, "c"),
        set(named(&removed, "b"), &[("use", json!("sig"))]),
    ] {
        let next = read(&[named(&kept, "a"), other.clone()], Some(&first));
        assert_eq!(next.is_same(&first), other["use"] == "sig", "{other}");
    }
    let rsa = Signer::rsa();
    let all = read(&[rsa.jwk()], None);
    let one = read(&[set(rsa.jwk(), &[("alg", json!("RS256"))])], Some(&all));
    assert!(!one.is_same(&all));
}

#[test]
fn only_listed_algorithms_are_allowed_for_fetched_keys() {
    let (rsa, ed) = (Signer::rsa(), Signer::ed25519());
    let text = json!({"keys": [rsa.jwk(), ed.jwk()]}).to_string();
    let ask = |token: &str| {
        let allowed = [Algorithm::PS256];
        let fetched = VerificationKeys::from_fetched(text.as_bytes(), Some(&allowed), None);
        user_with(fetched.unwrap().keys, token)
    };
    let claims = good_claims().to_string();
    let listed = rsa.sign_as(Algorithm::PS256, "{}", &claims);
    assert_eq!(ask(&listed), Ok("alice".into()));
    for other in [
        rsa.sign_as(Algorithm::RS256, "{}", &claims),
        rsa.sign_as(Algorithm::PS384, "{}", &claims),
        ed.sign("{}", &claims),
    ] {
        assert_eq!(ask(&other), Err(AuthRefusal::AlgorithmNotAllowed));
    }
}

#[test]
fn every_kind_of_bad_element_is_left_out_with_a_warning() {
    let good = Signer::ed25519();
    let bad: [&str; 14] = [
        "null",
        "7",
        "true",
        "\"topsecret\"",
        "[]",
        "[{}]",
        "{}",
        r#"{"kty":null}"#,
        r#"{"kty":7}"#,
        r#"{"kty":"OKP","kty":"OKP"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":["topsecret"]}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"topsecret","topsecret":1e400}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"\ud800"}"#,
        &format!("{}{}", "[".repeat(500), "]".repeat(500)),
    ];
    for element in bad {
        for keys in [
            format!("{element},{}", good.jwk()),
            format!("{},{element}", good.jwk()),
        ] {
            let text = format!("{{\"keys\":[{keys}]}}");
            let fetched = VerificationKeys::from_fetched(text.as_bytes(), None, None);
            let FetchedKeySet { keys, warnings } = fetched.expect(element);
            let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
            assert_eq!(warnings.len(), 1, "{element}: {warnings:?}");
            assert!(warnings[0].starts_with("left out key "), "{warnings:?}");
            assert!(!warnings[0].contains("topsecret"), "{warnings:?}");
            let token = good.sign("{}", &good_claims().to_string());
            assert_eq!(user_with(keys, &token), Ok("alice".into()), "{element}");
            // The operator's own file stays strict.
            let file = VerificationKeys::from_jwks(text.as_bytes());
            assert!(file.is_err(), "{element}");
        }
    }
}
