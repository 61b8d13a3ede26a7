//! A token that comes again: the same answer as the first time, by the cache or not.

use super::*;

const HEADER: &str = r#"{"alg":"HS256"}"#;

fn headers(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(AUTHORIZATION, value);
    headers
}

#[test]
fn a_token_is_verified_once_and_judged_by_the_clock_each_time() {
    let authenticator = gate(vec![identity("https://login", shared())]);
    let headers = headers(&hs256(HEADER, &good_claims().to_string()));
    let at = |seconds: u64| {
        at_once(
            &authenticator,
            &headers,
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        )
    };
    let first = at(NOW).ok().unwrap();
    let second = at(NOW + 60 + LEEWAY - 1).ok().unwrap();
    assert!(Arc::ptr_eq(&first, &second), "verified twice");
    assert_eq!(at(NOW + 60 + LEEWAY).err(), Some(AuthRefusal::Expired));
    assert!(at(NOW).is_ok());
}

#[test]
fn a_token_altered_in_one_byte_is_none_that_is_known() {
    let authenticator = gate(vec![identity("https://login", shared())]);
    let good = hs256(HEADER, &good_claims().to_string());
    assert!(ask(&authenticator, &good).is_ok());
    for at in 0..good.len() {
        let mut altered = good.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(ask(&authenticator, &altered).is_err(), "byte {at}");
    }
    assert!(ask(&authenticator, &good).is_ok());
}

#[test]
fn a_refusal_is_not_remembered() {
    let authenticator = gate(vec![identity("https://login", shared())]);
    let mut claims = good_claims();
    claims["nbf"] = json!(NOW + LEEWAY + 1);
    let headers = headers(&hs256(HEADER, &claims.to_string()));
    let early = at_once(&authenticator, &headers, now());
    assert_eq!(early.err(), Some(AuthRefusal::NotYetValid));
    let later = at_once(&authenticator, &headers, now() + Duration::from_secs(1));
    assert!(later.is_ok());
}

#[test]
fn callers_keep_their_pseudonym_and_differ_in_it() {
    let authenticator = gate(vec![identity("https://login", shared())]);
    let of = |user: &str| {
        let claims = good_claims().to_string().replace("alice", user);
        ask(&authenticator, &hs256(HEADER, &claims)).ok().unwrap()
    };
    let (alice, bob) = (of("alice"), of("bob"));
    assert_eq!((alice.pseudonym.len(), bob.pseudonym.len()), (16, 16));
    assert_ne!(alice.pseudonym, bob.pseudonym);
    assert_eq!(alice.pseudonym, of("alice").pseudonym);
    assert!(!alice.pseudonym.contains("alice"));
}
