//! Key sets that are written otherwise than in the RFC's letter: a good key is accepted if it can
//! be read in one way only, and nothing else of its set suffers from a bad one.

use data_encoding::BASE64;

use super::{algorithms::Signer, key_sets::set, *};
use crate::auth::key_set::FetchedKeySet;

fn fetched(text: &str, previous: Option<&VerificationKeys>) -> FetchedKeySet {
    VerificationKeys::from_fetched(text.as_bytes(), None, previous).expect(text)
}

fn set_of(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// The key with another spelling of its numbers.
fn respelled(jwk: &Value, spell: impl Fn(&[u8]) -> String) -> Value {
    let mut jwk = jwk.clone();
    for name in ["n", "e", "x", "y"] {
        if let Some(text) = jwk[name].as_str() {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
            jwk[name] = json!(spell(&bytes));
        }
    }
    jwk
}

fn b64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Other spellings of one key, each with a label.
fn spellings(jwk: &Value) -> Vec<(&'static str, String)> {
    let wrapped = |bytes: &[u8]| {
        let lines: Vec<_> = bytes.chunks(30).map(b64).collect();
        lines.join("\r\n ")
    };
    let mut values = vec![
        ("standard base64", respelled(jwk, |it| BASE64.encode(it))),
        ("padded", respelled(jwk, |it| b64(it) + "==")),
        ("padded as in PHP", respelled(jwk, |it| b64(it) + ",,")),
        ("wrapped", respelled(jwk, wrapped)),
        (
            "a use in capitals",
            set(jwk.clone(), &[("use", json!("SIG"))]),
        ),
        (
            "one operation",
            set(jwk.clone(), &[("key_ops", json!("verify"))]),
        ),
        ("to sign", set(jwk.clone(), &[("key_ops", json!(["sign"]))])),
        (
            "strange operations",
            set(jwk.clone(), &[("key_ops", json!([7, "verify"]))]),
        ),
        (
            "an x5c that is none",
            set(jwk.clone(), &[("x5c", json!([{}])), ("x5t", json!(1))]),
        ),
    ];
    let absent = [
        "use", "alg", "kid", "key_ops", "d", "p", "q", "dp", "dq", "qi", "oth", "k",
    ];
    values.push((
        "nulls",
        set(jwk.clone(), &absent.map(|name| (name, Value::Null))),
    ));
    if jwk["kty"] != "OKP" {
        let zeros = respelled(jwk, |it| b64(&[&[0, 0][..], it].concat()));
        values.push(("leading zeros", zeros));
    }
    let mut texts: Vec<_> = values
        .into_iter()
        .map(|(label, it)| (label, it.to_string()))
        .collect();
    let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for (label, more) in [
        ("a huge number", "\"more\":1e400"),
        ("no text", r#""more":"\ud800""#),
        ("a member twice", r#""more":1,"more":2"#),
        ("a deep member", &format!("\"more\":{nested}")),
        ("white space", "\t\r\n \"more\" :\n[ ]"),
    ] {
        texts.push((
            label,
            jwk.to_string().replacen('{', &format!("{{{more},"), 1),
        ));
    }
    texts
}

#[test]
fn a_good_key_is_accepted_however_it_is_written() {
    let mut refused = Vec::new();
    for signer in Signer::all_public() {
        let plain = fetched(&set_of(&[signer.jwk()]), None).keys;
        let token = signer.sign("{}", &good_claims().to_string());
        for (label, jwk) in spellings(&signer.jwk()) {
            let text = format!("{{\"keys\":[{jwk}]}}");
            let set = VerificationKeys::from_fetched(text.as_bytes(), None, Some(&plain));
            let (Ok(set), Ok(own)) = (set, VerificationKeys::from_jwks(text.as_bytes())) else {
                refused.push((signer.algorithms[0], label));
                continue;
            };
            assert!(set.warnings.is_empty(), "{label}: {:?}", set.warnings);
            assert!(set.keys.is_same(&plain), "{label}");
            for keys in [set.keys, own] {
                assert_eq!(user_with(keys, &token), Ok("alice".into()), "{label}");
            }
        }
    }
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn a_coordinate_may_lack_its_leading_zeros() {
    let makers: [fn() -> Signer; 2] = [Signer::es256, Signer::es384];
    for make in makers {
        let is_short = |jwk: &Value| {
            [&jwk["x"], &jwk["y"]].iter().any(|it| {
                it.as_str()
                    .is_some_and(|text| text.starts_with("AA") || text.starts_with("AB"))
            })
        };
        let mut signers = std::iter::repeat_with(make);
        let signer = signers.find(|signer| is_short(&signer.jwk())).unwrap();
        let stripped = respelled(&signer.jwk(), |it| {
            let zeros = it.iter().take_while(|byte| **byte == 0).count();
            b64(&it[zeros..])
        });
        assert_ne!(stripped, signer.jwk());
        let keys = fetched(&set_of(&[stripped]), None).keys;
        let token = signer.sign("{}", &good_claims().to_string());
        assert_eq!(user_with(keys, &token), Ok("alice".into()));
    }
}

/// Keys that could mean two things, or nothing, and a part of the warning.
fn doubtful() -> Vec<(Value, &'static str)> {
    let (rsa, ec, ed) = (Signer::rsa(), Signer::es256(), Signer::ed25519());
    let (rsa, ec, ed) = (rsa.jwk(), ec.jwk(), ed.jwk());
    let with = |jwk: &Value, name, value| set(jwk.clone(), &[(name, value)]);
    let cut = |jwk: &Value, name: &'static str, at_start: bool| {
        let bytes = BASE64URL_NOPAD
            .decode(jwk[name].as_str().unwrap().as_bytes())
            .unwrap();
        let rest = if at_start {
            &bytes[1..]
        } else {
            &bytes[..bytes.len() - 1]
        };
        with(jwk, name, json!(b64(rest)))
    };
    let without = |jwk: &Value, names: &[&str]| {
        let mut jwk = jwk.clone();
        names
            .iter()
            .for_each(|name| drop(jwk.as_object_mut().unwrap().remove(*name)));
        jwk
    };
    let only_certificate = set(without(&rsa, &["n", "e"]), &[("x5c", json!(["MIIB"]))]);
    let long = BASE64URL_NOPAD.encode(&[7; 33]);
    vec![
        (only_certificate, "`n` is missing"),
        (without(&rsa, &["e"]), "`e` is missing"),
        (without(&ec, &["kty"]), "`kty` is missing"),
        (without(&ec, &["y"]), "`y` is missing"),
        (with(&rsa, "n", json!(7)), "`n` is not a string"),
        (with(&rsa, "n", json!("A=AA")), "`n` is not base64url"),
        (with(&rsa, "n", json!("AAAAB")), "`n` is not base64url"),
        (with(&rsa, "n", json!("AAAB_x")), "`n` is not base64url"),
        (with(&rsa, "e", json!("Ag")), "RSA"),
        (with(&rsa, "e", json!("AQ")), "RSA"),
        (with(&rsa, "e", json!("AAAA")), "RSA"),
        (with(&rsa, "e", json!("AQAAAAAB")), "RSA"),
        (with(&rsa, "kid", json!(1.5)), "`kid`"),
        (with(&rsa, "kid", json!(true)), "`kid`"),
        (with(&rsa, "kid", json!(["a"])), "`kid`"),
        (with(&rsa, "alg", json!("ES256")), "ES256 does not fit"),
        (with(&rsa, "alg", json!("HS256")), "HS256 does not fit"),
        (with(&rsa, "use", json!(["sig"])), "`use` is not a string"),
        (with(&rsa, "key_ops", json!({})), "`key_ops`"),
        (cut(&ec, "x", false), "curve"),
        (cut(&ec, "y", false), "curve"),
        (with(&ec, "x", ec["y"].clone()), "curve"),
        (with(&ec, "x", json!(long)), "too long"),
        (with(&ec, "crv", json!("P-384")), "curve"),
        (cut(&ed, "x", true), "Ed25519"),
        (cut(&ed, "x", false), "Ed25519"),
    ]
}

#[test]
fn a_key_in_doubt_is_left_out() {
    let good = Signer::ed25519();
    let token = good.sign("{}", &good_claims().to_string());
    let mut cases: Vec<_> = doubtful()
        .into_iter()
        .map(|(jwk, expected)| (jwk.to_string(), expected))
        .collect();
    let twice = Signer::es256().jwk().to_string();
    for member in [
        r#""x":"AA""#,
        r#""kty":"EC""#,
        r#""use":null"#,
        r#""k\u0069d":"b""#,
    ] {
        let twice = twice.replacen('{', r#"{"use":"sig","kid":"a","#, 1);
        cases.push((
            twice.replacen('{', &format!("{{{member},"), 1),
            "given twice",
        ));
    }
    for (element, expected) in cases {
        let text = format!("{{\"keys\":[{element},{}]}}", good.jwk());
        let FetchedKeySet { keys, warnings } = fetched(&text, None);
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{element}: {warnings:?}");
        assert!(warnings[0].contains(expected), "{expected}: {warnings:?}");
        assert_eq!(user_with(keys, &token), Ok("alice".into()), "{element}");
    }
}

#[test]
fn what_stands_around_the_keys_does_not_matter() {
    let signer = Signer::ed25519();
    let token = signer.sign("{}", &good_claims().to_string());
    let plain = set_of(&[signer.jwk()]);
    let around = format!(
        "{{\"a\":1e400,\"b\":[],\"keys\" : [ {} ] ,\"b\":null}}",
        signer.jwk()
    );
    let texts = [
        format!("\u{feff}{plain}"),
        format!("\u{feff}\r\n {plain}\n\n"),
        around,
    ];
    for text in &texts {
        assert_eq!(
            user_with(fetched(text, None).keys, &token),
            Ok("alice".into()),
            "{text}"
        );
        let own = VerificationKeys::from_jwks(text.as_bytes()).expect(text);
        assert_eq!(user_with(own, &token), Ok("alice".into()), "{text}");
    }
    // Bytes that are no text harm the member in which they stand, at most.
    let mut bytes = json!({"keys": [set(signer.jwk(), &[("note", json!("?"))])]})
        .to_string()
        .into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xfc;
    let latin = VerificationKeys::from_fetched(&bytes, None, None).unwrap();
    assert_eq!(user_with(latin.keys, &token), Ok("alice".into()));
    for broken in [
        format!("{plain}{plain}"),
        format!("\u{feff}\u{feff}{plain}"),
        format!("x{plain}"),
    ] {
        assert!(VerificationKeys::from_fetched(broken.as_bytes(), None, None).is_err());
    }
}

#[test]
fn a_number_is_an_id_like_its_text() {
    let (one, two) = (Signer::ed25519(), Signer::ed25519());
    let named = |signer: &Signer, id: Value| set(signer.jwk(), &[("kid", id)]);
    let text = set_of(&[named(&one, json!(17)), named(&two, json!("18"))]);
    let ask = |signer: &Signer, id: &str| {
        let token = signer.sign(&format!("{{\"kid\":{id}}}"), &good_claims().to_string());
        user_with(fetched(&text, None).keys, &token)
    };
    for (signer, ids) in [(&one, ["17", "\"17\""]), (&two, ["18", "\"18\""])] {
        for id in ids {
            assert_eq!(ask(signer, id), Ok("alice".into()), "{id}");
        }
    }
    assert_eq!(ask(&one, "18"), Err(AuthRefusal::BadSignature));
    assert_eq!(ask(&one, "19"), Err(AuthRefusal::UnknownKey));
    for id in ["17.0", "1.7e1", "true", "null", "[17]"] {
        assert_eq!(ask(&one, id), Err(AuthRefusal::Malformed), "{id}");
    }
}

#[test]
fn a_key_without_an_id_may_have_made_any_signature() {
    let (nameless, named, stranger) = (Signer::ed25519(), Signer::ed25519(), Signer::ed25519());
    let named_jwk = set(named.jwk(), &[("kid", json!("a"))]);
    // The named key is tried before all that have no id, of which only some are tried.
    let mut keys: Vec<_> = (0..9).map(|_| Signer::ed25519().jwk()).collect();
    keys[0] = nameless.jwk();
    keys.push(named_jwk);
    let text = set_of(&keys);
    let ask = |signer: &Signer, header: &str| {
        let token = signer.sign(header, &good_claims().to_string());
        user_with(fetched(&text, None).keys, &token)
    };
    for header in ["{}", r#"{"kid":"a"}"#, r#"{"kid":"b"}"#] {
        assert_eq!(ask(&nameless, header), Ok("alice".into()), "{header}");
    }
    assert_eq!(ask(&named, r#"{"kid":"a"}"#), Ok("alice".into()));
    // An id that no key has may belong to a new key, so a fetch may help.
    assert_eq!(
        ask(&stranger, r#"{"kid":"b"}"#),
        Err(AuthRefusal::UnknownKey)
    );
    assert_eq!(
        ask(&stranger, r#"{"kid":"a"}"#),
        Err(AuthRefusal::BadSignature)
    );
}

#[test]
fn a_warning_is_the_same_in_any_order() {
    let (good, bad) = (Signer::ed25519(), Signer::es256());
    let bad = set(bad.jwk(), &[("kid", json!("bad")), ("y", json!("AA"))]);
    let one = fetched(&set_of(&[good.jwk(), bad.clone()]), None);
    let two = fetched(&set_of(&[bad, good.jwk()]), Some(&one.keys));
    assert_eq!(one.warnings, two.warnings);
    assert!(two.keys.is_same(&one.keys));
}
