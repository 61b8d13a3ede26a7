//! Repeated tokens: the result is the same as without the cache.

use super::*;

const HEADER: &str = r#"{"alg":"HS256"}"#;

fn headers(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(AUTHORIZATION, value);
    headers
}

#[test]
fn a_token_is_verified_once_and_its_times_are_checked_each_time() {
    let authenticator = authenticator(vec![identity("https://login", shared_secret())]);
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
fn a_token_altered_in_one_byte_is_not_cached() {
    let authenticator = authenticator(vec![identity("https://login", shared_secret())]);
    let good = hs256(HEADER, &good_claims().to_string());
    assert!(authenticate(&authenticator, &good).is_ok());
    for at in 0..good.len() {
        let mut altered = good.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(authenticate(&authenticator, &altered).is_err(), "byte {at}");
    }
    assert!(authenticate(&authenticator, &good).is_ok());
}

#[test]
fn a_refusal_is_not_cached() {
    let authenticator = authenticator(vec![identity("https://login", shared_secret())]);
    let mut claims = good_claims();
    claims["nbf"] = json!(NOW + LEEWAY + 1);
    let headers = headers(&hs256(HEADER, &claims.to_string()));
    let early = at_once(&authenticator, &headers, now());
    assert_eq!(early.err(), Some(AuthRefusal::NotYetValid));
    let later = at_once(&authenticator, &headers, now() + Duration::from_secs(1));
    assert!(later.is_ok());
}

#[test]
fn each_caller_has_one_pseudonym_of_its_own() {
    let authenticator = authenticator(vec![identity("https://login", shared_secret())]);
    let of = |user: &str| {
        let claims = good_claims().to_string().replace("alice", user);
        authenticate(&authenticator, &hs256(HEADER, &claims))
            .ok()
            .unwrap()
    };
    let (alice, bob) = (of("alice"), of("bob"));
    assert_eq!((alice.pseudonym.len(), bob.pseudonym.len()), (16, 16));
    assert_ne!(alice.pseudonym, bob.pseudonym);
    assert_eq!(alice.pseudonym, of("alice").pseudonym);
    assert!(!alice.pseudonym.contains("alice"));
}
