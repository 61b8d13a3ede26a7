//! A token that comes again: the same answer as the first time, by the cache or not.

use std::time::Instant;

use super::{algorithms::Signer, *};

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

/// Prints microseconds for each check; run it alone, with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a promise"]
fn what_a_check_costs() {
    const ROUNDS: u32 = 5000;
    for signer in [Signer::secret(), Signer::es256(), Signer::rsa()] {
        let keys = || {
            let set = json!({"keys": [signer.jwk()]}).to_string();
            KeySet::from_jwks(set.as_bytes()).unwrap()
        };
        let claims = json!({"iss": "https://login", "aud": "liveness", "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
            "exp": NOW + 60, "iat": NOW, "azp": "my_client_id", "scope": "openid profile liveness"});
        let headers = headers(&signer.sign("{}", &claims.to_string()));
        let authenticator = gate(vec![identity("https://login", keys())]);
        let token = bearer::credentials(&headers).unwrap();
        let each = |check: &dyn Fn()| {
            let times = (0..9).map(|_| {
                let started = Instant::now();
                (0..ROUNDS).for_each(|_| check());
                started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
            });
            times.fold(f64::MAX, f64::min)
        };
        let with = each(&|| assert!(at_once(&authenticator, &headers, now()).is_ok()));
        let without = each(&|| {
            let digest = cache::Digest::of(token);
            assert!(
                pin!(authenticator.verify(token, digest, now()))
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
            );
        });
        eprintln!(
            "{:?}, {} bytes: {with:.2} µs remembered, {without:.2} µs verified",
            signer.algorithms[0],
            token.len()
        );
    }
}
