//! Random and mutated tokens never cause a panic and never authenticate a caller.

use proptest::prelude::*;

use super::*;

fn refused(bytes: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return true;
    };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    let authenticator = authenticator(vec![identity("https://login", shared_secret())]);
    match at_once(&authenticator, &headers, now()) {
        Ok(_) => false,
        Err(refusal) => {
            assert!(!refusal.detail().is_empty() && !refusal.reason().is_empty());
            matches!(
                refusal.code(),
                "malformed_request" | "missing_token" | "invalid_token" | "expired_token"
            )
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(refused(&bytes));
        prop_assert!(refused(&[b"Bearer ", &bytes[..]].concat()));
    }

    #[test]
    fn random_parts_are_refused(
        header in ".{0,80}", claims in ".{0,80}", signature in any::<[u8; 32]>(),
    ) {
        let signature = BASE64URL_NOPAD.encode(&signature);
        let token = format!("{}.{}.{signature}", encode(&header), encode(&claims));
        let value = format!("Bearer {token}");
        prop_assert!(refused(value.as_bytes()));
    }

    #[test]
    fn random_signed_claims_never_panic(
        name in "iss|aud|sub|exp|nbf|iat|scope|scp",
        text in "[-0-9eE.\\[\\]{}\"a-z:, ]{0,20}",
    ) {
        let claims = good_claims().to_string().replacen('{', &format!("{{\"{name}\":{text},"), 1);
        let _ = user(&hs256(r#"{"alg":"HS256"}"#, &claims));
    }

    #[test]
    fn one_changed_byte_is_refused(at in any::<proptest::sample::Index>(), with in any::<u8>()) {
        let good = hs256(r#"{"alg":"HS256","typ":"JWT"}"#, &good_claims().to_string());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != with);
        // Spaces at the ends belong to the header, not to the token.
        bytes[at] = with;
        prop_assert!(refused(&[b"Bearer ", &bytes[..]].concat()));
    }
}
