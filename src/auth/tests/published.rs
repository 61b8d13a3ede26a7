//! Key sets that are fetched: what stays the same from one to the next, and what of them is allowed.

use super::{algorithms::Signer, key_sets::set, *};
use crate::auth::Algorithm;

#[test]
fn a_key_that_is_still_published_is_the_same_key() {
    let (stays, goes, comes) = (Signer::ed25519(), Signer::es256(), Signer::es256());
    let named = |signer: &Signer, id: &str| set(signer.jwk(), &[("kid", json!(id))]);
    let read = |keys: &[Value], previous: Option<&VerificationKeys>| {
        let text = json!({"keys": keys}).to_string();
        let published = VerificationKeys::from_published(text.as_bytes(), None, previous);
        published.ok().unwrap().keys
    };
    let first = read(&[named(&stays, "a"), named(&goes, "b")], None);
    let again = read(&[named(&stays, "a"), named(&goes, "b")], Some(&first));
    assert!(again.is(&first));
    // Another key or another name is another key; what says the same in more words is not.
    for other in [
        named(&comes, "b"),
        named(&goes, "c"),
        set(named(&goes, "b"), &[("use", json!("sig"))]),
    ] {
        let next = read(&[named(&stays, "a"), other.clone()], Some(&first));
        assert_eq!(next.is(&first), other["use"] == "sig", "{other}");
    }
    let rsa = Signer::rsa();
    let all = read(&[rsa.jwk()], None);
    let one = read(&[set(rsa.jwk(), &[("alg", json!("RS256"))])], Some(&all));
    assert!(!one.is(&all));
}

#[test]
fn of_what_fits_a_key_only_what_the_operator_lists_is_allowed() {
    let (rsa, ed) = (Signer::rsa(), Signer::ed25519());
    let text = json!({"keys": [rsa.jwk(), ed.jwk()]}).to_string();
    let ask = |token: &str| {
        let allowed = [Algorithm::PS256];
        let published = VerificationKeys::from_published(text.as_bytes(), Some(&allowed), None);
        user_with(published.ok().unwrap().keys, token)
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
