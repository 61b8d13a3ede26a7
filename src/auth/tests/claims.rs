//! Claims that each issuer names in its own way: the audience, the user and the scopes.

use super::{
    rules::{HEADER, alice, header, with, without},
    *,
};

/// The caller of this token at an identity that is changed like this.
fn caller_at(change: fn(&mut IdentitySettings), token: &str) -> Result<Arc<Caller>, AuthRefusal> {
    let mut settings = identity("https://login", shared_secret());
    change(&mut settings);
    authenticate(&authenticator(vec![settings]), token)
}

/// The user of this token where `claim` names the user.
fn user_by(claim: &'static str, token: &str) -> Result<String, AuthRefusal> {
    let mut settings = identity("https://login", shared_secret());
    settings.user_claim = claim.into();
    authenticate(&authenticator(vec![settings]), token).map(|caller| caller.user.to_string())
}

#[test]
fn one_of_the_audiences_must_be_named() {
    assert_eq!(user(&without("aud")), Err(AuthRefusal::MissingClaim("aud")));
    for aud in [json!("other-name"), json!(["x", "liveness"])] {
        assert_eq!(user(&with("aud", aud)), alice());
    }
    for aud in [
        json!("Liveness"),
        json!([]),
        json!(["x"]),
        json!("liveness "),
        json!("liveness other-name"),
    ] {
        assert_eq!(user(&with("aud", aud)), Err(AuthRefusal::WrongAudience));
    }
    for aud in [
        json!(null),
        json!(1),
        json!(["liveness", 1]),
        json!({"liveness": 1}),
    ] {
        assert_eq!(user(&with("aud", aud)), Err(AuthRefusal::BadClaim("aud")));
    }
}

#[test]
fn another_claim_can_name_the_audience() {
    let ask = |token: &str| {
        let caller = caller_at(|it| it.audience_claim = "client_id".into(), token);
        caller.map(|caller| caller.user.to_string())
    };
    // An `aud` in such a token is not asked, whatever it is.
    for aud in [json!("liveness"), json!("other"), json!(7)] {
        let mut claims = good_claims();
        claims["aud"] = aud;
        let without_client = hs256(HEADER, &claims.to_string());
        assert_eq!(
            ask(&without_client),
            Err(AuthRefusal::MissingClaim("audience"))
        );
        claims["client_id"] = json!("liveness");
        assert_eq!(ask(&hs256(HEADER, &claims.to_string())), alice());
    }
    assert_eq!(ask(&with("client_id", json!(["x", "liveness"]))), alice());
    for (value, refusal) in [
        (json!("other"), AuthRefusal::WrongAudience),
        (json!(["other"]), AuthRefusal::WrongAudience),
        (json!(7), AuthRefusal::BadClaim("audience")),
        (json!(null), AuthRefusal::BadClaim("audience")),
    ] {
        assert_eq!(ask(&with("client_id", value)), Err(refusal));
    }
    // Never a path: an issuer may let users name nested claims.
    let nested = with("client", json!({"id": "liveness"}));
    let caller = caller_at(|it| it.audience_claim = "client.id".into(), &nested);
    assert_eq!(
        caller.err(),
        Some(AuthRefusal::MissingClaim("audience")),
        "a nested claim"
    );
}

#[test]
fn the_user_has_1_to_256_bytes() {
    assert_eq!(
        user(&without("sub")),
        Err(AuthRefusal::MissingClaim("user"))
    );
    let longest = "u".repeat(256);
    assert_eq!(user(&with("sub", json!(longest))), Ok(longest.clone()));
    assert_eq!(user(&with("sub", json!(" Alice "))), Ok(" Alice ".into()));
    for sub in [
        json!(""),
        json!(longest + "u"),
        json!(null),
        json!(true),
        json!(["alice"]),
        json!({"sub": "alice"}),
    ] {
        assert_eq!(user(&with("sub", sub)), Err(AuthRefusal::BadClaim("user")));
    }
}

#[test]
fn another_claim_can_name_the_user() {
    let claim = "https://example.com/uid";
    assert_eq!(user_by(claim, &with(claim, json!("u7"))), Ok("u7".into()));
    assert_eq!(user_by(claim, &with(claim, json!(7))), Ok("7".into()));
    assert_eq!(
        user_by(claim, &header(HEADER)),
        Err(AuthRefusal::MissingClaim("user"))
    );
}

#[test]
fn a_dotted_path_leads_to_a_nested_user() {
    let nested = |value: Value| with("ext", json!({"user": {"id": value}}));
    let ask = |token: &str| user_by("ext.user.id", token);
    assert_eq!(ask(&nested(json!("u7"))), Ok("u7".into()));
    assert_eq!(ask(&nested(json!(7))), Ok("7".into()));
    assert_eq!(
        ask(&nested(json!(["u7"]))),
        Err(AuthRefusal::BadClaim("user"))
    );
    // A claim of exactly this name comes first, even if it can't be used.
    for (exact, expected) in [
        (json!("u8"), Ok("u8".to_owned())),
        (json!(null), Err(AuthRefusal::BadClaim("user"))),
    ] {
        let mut claims = good_claims();
        claims["ext"] = json!({"user": {"id": "u7"}});
        claims["ext.user.id"] = exact;
        assert_eq!(ask(&hs256(HEADER, &claims.to_string())), expected);
    }
    for (claim, value) in [
        ("ext", json!({"user": "u7"})),
        ("ext", json!({"user": [{"id": "u7"}]})),
        ("ext", json!({"user.id": "u7"})),
        ("ext", json!("u7")),
        ("ext.user", json!({"id": "u7"})),
        ("other", json!({"user": {"id": "u7"}})),
    ] {
        let refusal = Err(AuthRefusal::MissingClaim("user"));
        assert_eq!(ask(&with(claim, value.clone())), refusal, "{claim} {value}");
    }
    for path in [".", "ext.", ".ext", "ext..user", "ext.0"] {
        let token = with("ext", json!({"user": {"id": "u7"}}));
        let refusal = Err(AuthRefusal::MissingClaim("user"));
        assert_eq!(user_by(path, &token), refusal, "{path}");
    }
}

#[test]
fn a_nested_claim_given_twice_is_refused() {
    let claims = good_claims().to_string();
    let claims = claims.replacen('{', r#"{"ext":{"uid":"alice","\u0075id":"bob"},"#, 1);
    assert_eq!(
        user_by("ext.uid", &hs256(HEADER, &claims)),
        Err(AuthRefusal::DuplicateClaim)
    );
}

#[test]
fn a_whole_number_is_a_user_and_no_other_number_is() {
    let ask = |number: &str| {
        let claims = good_claims().to_string().replace("\"alice\"", number);
        user(&hs256(HEADER, &claims))
    };
    for number in ["0", "7", "-7", "18446744073709551615"] {
        assert_eq!(ask(number), Ok(number.into()));
    }
    // The last two would round to one user.
    for number in [
        "1.0",
        "7.5",
        "1e3",
        "-0",
        "18446744073709551616",
        "18446744073709551617",
    ] {
        assert_eq!(ask(number), Err(AuthRefusal::BadClaim("user")), "{number}");
    }
}

#[test]
fn scopes_come_from_scope_and_scp() {
    let granted = |claim: &str, value: Value| {
        caller_at(|_| (), &with(claim, value)).map(|caller| {
            assert!(!caller.has_scope("") && !caller.has_scope("A"));
            (
                caller.has_scope("a"),
                caller.has_scope("b"),
                caller.scopes.len(),
            )
        })
    };
    for claim in ["scope", "scp"] {
        assert_eq!(granted(claim, json!("a  b ")), Ok((true, true, 2)));
        assert_eq!(granted(claim, json!(["a", "c"])), Ok((true, false, 2)));
        assert_eq!(granted(claim, json!(["", "b"])), Ok((false, true, 1)));
        assert_eq!(granted(claim, json!(["a b"])), Ok((false, false, 1)));
        assert_eq!(granted(claim, json!([])), Ok((false, false, 0)));
        for value in [json!(["a", 1]), json!(1), json!(null), json!({"a": true})] {
            let refusal = Err(AuthRefusal::BadClaim(match claim {
                "scope" => "scope",
                _ => "scp",
            }));
            assert_eq!(granted(claim, value), refusal);
        }
    }
    assert_eq!(granted("scopes", json!("a b")), Ok((false, false, 0)));
    let mut claims = good_claims();
    claims["scope"] = json!("a");
    claims["scp"] = json!(["b"]);
    let both = caller_at(|_| (), &hs256(HEADER, &claims.to_string()));
    assert!(both.is_ok_and(|caller| caller.has_scope("a") && caller.has_scope("b")));
}
