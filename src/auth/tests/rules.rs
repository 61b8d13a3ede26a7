//! The rules of tokens that need only a shared secret.

use super::*;

pub(super) const HEADER: &str = r#"{"alg":"HS256"}"#;

/// The good claims with this claim set to this value.
pub(super) fn with(claim: &str, value: Value) -> String {
    let mut claims = good_claims();
    claims[claim] = value;
    hs256(HEADER, &claims.to_string())
}

pub(super) fn without(claim: &str) -> String {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(claim);
    hs256(HEADER, &claims.to_string())
}

pub(super) fn raw_exp(exp: &str) -> String {
    hs256(
        HEADER,
        &format!(r#"{{"iss":"https://login","aud":"liveness","sub":"alice","exp":{exp}}}"#),
    )
}

pub(super) fn header(header: &str) -> String {
    hs256(header, &good_claims().to_string())
}

pub(super) fn alice() -> Result<String, AuthRefusal> {
    Ok("alice".into())
}

#[test]
fn a_good_token_authenticates_its_caller() {
    assert_eq!(user(&header(HEADER)), alice());
}

#[test]
fn a_changed_signed_text_is_refused() {
    let other = hs256(HEADER, &good_claims().to_string().replace("alice", "mallo"));
    let good = header(HEADER);
    let (_, signature) = good.rsplit_once('.').unwrap();
    let (signed, _) = other.rsplit_once('.').unwrap();
    assert_eq!(
        user(&format!("{signed}.{signature}")),
        Err(AuthRefusal::BadSignature)
    );
    assert_eq!(user(&format!("{signed}.")), Err(AuthRefusal::BadSignature));
}

#[test]
fn only_three_parts_of_strict_base64url_are_a_token() {
    let good = header(HEADER);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut shapes = vec![
        signed.to_owned(),
        "a".into(),
        "..".into(),
        ".".into(),
        format!("{good}="),
    ];
    shapes.extend([
        format!("{good}."),
        format!("{good}.a.b"),
        format!(".{good}"),
        format!("{signed}=.{signature}"),
    ]);
    // The last character of 32 bytes has two unused bits, which allow a second spelling.
    let last = BASE64URL_NOPAD
        .specification()
        .symbols
        .find(good.chars().last().unwrap())
        .unwrap();
    let second = BASE64URL_NOPAD
        .specification()
        .symbols
        .chars()
        .nth(last | 1)
        .unwrap();
    shapes.push(format!("{}{second}", &good[..good.len() - 1]));
    for shape in shapes {
        assert_eq!(user(&shape), Err(AuthRefusal::Malformed), "{shape}");
    }
}

#[test]
fn header_and_claims_are_json_objects() {
    for text in ["[]", "\"x\"", "null", "{", "{}{}", "{\"alg\":\"HS256\",}"] {
        assert_eq!(user(&header(text)), Err(AuthRefusal::Malformed), "{text}");
        assert_eq!(
            user(&hs256(HEADER, text)),
            Err(AuthRefusal::Malformed),
            "{text}"
        );
    }
    for text in ["{}", r#"{"alg":1}"#, r#"{"alg":"HS256","kid":1.5}"#] {
        assert_eq!(user(&header(text)), Err(AuthRefusal::Malformed), "{text}");
    }
}

#[test]
fn typ_is_absent_or_one_of_two() {
    for kind in [
        "JWT",
        "jwt",
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/JWT",
    ] {
        assert_eq!(
            user(&header(&json!({"alg":"HS256","typ":kind}).to_string())),
            alice(),
            "{kind}"
        );
    }
    for kind in [
        json!("logout+jwt"),
        json!(""),
        json!("JWT "),
        json!("jose"),
        json!(null),
        json!(1),
    ] {
        let token = header(&json!({"alg":"HS256","typ":kind}).to_string());
        assert_eq!(user(&token), Err(AuthRefusal::WrongType), "{kind}");
    }
}

#[test]
fn any_crit_is_refused() {
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null)] {
        let token = header(&json!({"alg":"HS256","crit":crit,"exp":1}).to_string());
        assert_eq!(user(&token), Err(AuthRefusal::UnknownCrit));
    }
}

#[test]
fn duplicate_claims_and_parameters_are_refused() {
    let twice = concat!(
        r#"{"iss":"https://login","aud":"liveness","sub":"alice","#,
        r#""s\u0075b":"bob","exp":1800000060}"#
    );
    assert_eq!(
        user(&hs256(HEADER, twice)),
        Err(AuthRefusal::DuplicateClaim)
    );
    let twice = r#"{"alg":"HS256","\u0061lg":"HS256"}"#;
    assert_eq!(
        user(&header(twice)),
        Err(AuthRefusal::DuplicateHeaderParameter)
    );
}

#[test]
fn exp_is_required_and_a_finite_number() {
    assert_eq!(user(&without("exp")), Err(AuthRefusal::MissingClaim("exp")));
    for exp in ["\"1800000060\"", "null", "true", "[1800000060]", "{}"] {
        assert_eq!(
            user(&raw_exp(exp)),
            Err(AuthRefusal::BadClaim("exp")),
            "{exp}"
        );
    }
    for exp in ["1e400", "NaN", "Infinity"] {
        assert_eq!(user(&raw_exp(exp)), Err(AuthRefusal::Malformed), "{exp}");
    }
    assert_eq!(user(&raw_exp("1800000060.75")), alice());
    assert_eq!(user(&raw_exp("1.80000006e9")), alice());
}

#[test]
fn a_token_expires_when_the_leeway_is_over() {
    assert_eq!(user(&with("exp", json!(NOW - LEEWAY + 1))), alice());
    assert_eq!(user(&raw_exp("1799999970.5")), alice());
    for exp in [json!(NOW - LEEWAY), json!(0), json!(-1), json!(-1e300)] {
        let refusal = user(&with("exp", exp)).unwrap_err();
        assert_eq!(
            (refusal, refusal.code()),
            (AuthRefusal::Expired, "expired_token")
        );
    }
}

#[test]
fn nbf_and_iat_are_numbers_and_not_in_the_future() {
    for (claim, early) in [
        ("nbf", AuthRefusal::NotYetValid),
        ("iat", AuthRefusal::IssuedInFuture),
    ] {
        assert_eq!(user(&with(claim, json!(NOW + LEEWAY))), alice());
        assert_eq!(user(&with(claim, json!(NOW + LEEWAY + 1))), Err(early));
        for value in [json!("1"), json!(null), json!([1])] {
            assert_eq!(user(&with(claim, value)), Err(AuthRefusal::BadClaim(claim)));
        }
    }
}

#[test]
fn the_issuer_is_exactly_a_configured_one() {
    assert_eq!(user(&without("iss")), Err(AuthRefusal::MissingClaim("iss")));
    assert_eq!(
        user(&with("iss", json!(["https://login"]))),
        Err(AuthRefusal::BadClaim("iss"))
    );
    for issuer in [
        "https://login/",
        "HTTPS://login",
        "https://logi",
        "",
        " https://login",
    ] {
        assert_eq!(
            user(&with("iss", json!(issuer))),
            Err(AuthRefusal::UnknownIssuer),
            "{issuer}"
        );
    }
}

#[test]
fn a_token_is_verified_with_the_keys_of_its_own_issuer_only() {
    let other =
        VerificationKeys::from_secret(&Secret::new(&b"the secret of quite another issuer"[..]))
            .unwrap();
    let both = authenticator(vec![
        identity("https://other", other),
        identity("https://login", shared_secret()),
    ]);
    let caller = authenticate(&both, &header(HEADER)).map(|caller| caller.issuer.to_string());
    assert_eq!(caller, Ok("https://login".into()));
    // Signed by one issuer, in the name of the other.
    let forged = authenticate(&both, &with("iss", json!("https://other")))
        .map(|caller| caller.issuer.to_string());
    assert_eq!(forged, Err(AuthRefusal::BadSignature));
}

#[test]
fn the_signature_is_verified_before_the_claims() {
    let expired = with("exp", json!(0));
    let (signed, _) = expired.rsplit_once('.').unwrap();
    assert_eq!(
        user(&format!("{signed}.AAAA")),
        Err(AuthRefusal::BadSignature)
    );
}
