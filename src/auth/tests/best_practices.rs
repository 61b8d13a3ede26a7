//! The recommendations of RFC 8725 and of its successor that need a test of their own. The table of
//! all of them, each with its test, is in `docs/identity.md`.

use super::{
    algorithms::Signer,
    rules::{HEADER, header, with},
    *,
};
use crate::auth::Algorithm;

fn jwks(keys: &[Value]) -> VerificationKeys {
    VerificationKeys::from_jwks(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

#[test]
fn the_tests_that_the_documentation_names_exist() {
    let page = include_str!("../../../docs/identity.md").lines();
    let count = named_tests(page.filter(|line| line.starts_with('|')));
    assert!(count > 40, "{count}");
}

#[test]
fn a_key_that_the_token_brings_along_is_never_used() {
    let (issuer, attacker) = (Signer::es256(), Signer::es256());
    let claims = good_claims().to_string();
    for (parameter, value) in [
        ("jwk", attacker.jwk()),
        ("jku", json!("http://127.0.0.1:9/keys")),
        ("x5u", json!("http://127.0.0.1:9/cert.pem")),
        ("x5c", json!([attacker.certificate()])),
        ("x5t", json!("AAAA")),
    ] {
        let header = json!({parameter: value, "kid": "k"}).to_string();
        let mut jwk = issuer.jwk();
        jwk["kid"] = json!("k");
        let ask = |signer: &Signer| {
            user_with(
                jwks(std::slice::from_ref(&jwk)),
                &signer.sign(&header, &claims),
            )
        };
        assert_eq!(ask(&attacker), Err(AuthRefusal::BadSignature));
        // It does no harm either: some issuers send a part of them.
        assert_eq!(ask(&issuer), Ok("alice".into()), "{parameter}");
    }
}

#[test]
fn a_key_id_is_compared_and_nothing_else() {
    let signer = Signer::es256();
    let mut jwk = signer.jwk();
    jwk["kid"] = json!("k");
    for id in [
        "K",
        "k ",
        "k\u{0}",
        "../../dev/null",
        "' OR '1'='1",
        "file:///dev/null",
        "",
    ] {
        let header = json!({"kid": id}).to_string();
        let token = signer.sign(&header, &good_claims().to_string());
        let found = user_with(jwks(std::slice::from_ref(&jwk)), &token);
        assert_eq!(found, Err(AuthRefusal::UnknownKey), "{id:?}");
    }
}

#[test]
fn a_signature_of_zeros_is_refused() {
    for signer in Signer::all() {
        let token = signer.sign("{}", &good_claims().to_string());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let keys = || match signer.algorithms[0] {
            Algorithm::HS256 => shared_secret(),
            _ => VerificationKeys::from_pem(signer.pem().as_bytes()).unwrap(),
        };
        let length = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap().len();
        for length in [length, 0, 1] {
            let zeros = BASE64URL_NOPAD.encode(&vec![0; length]);
            let refused = user_with(keys(), &format!("{signed}.{zeros}"));
            assert_eq!(refused, Err(AuthRefusal::BadSignature), "{length}");
        }
    }
}

#[test]
fn an_encrypted_or_nested_token_is_refused() {
    let inner = header(HEADER);
    let (signed, signature) = inner.rsplit_once('.').unwrap();
    // Five parts, as a JWE has them. Its algorithms are none that a token may be signed with.
    assert_eq!(
        user(&format!("{inner}.{signature}.{signature}")),
        Err(AuthRefusal::Malformed)
    );
    for algorithm in [
        "dir",
        "RSA-OAEP",
        "RSA-OAEP-256",
        "RSA1_5",
        "ECDH-ES",
        "A256GCMKW",
        "PBES2-HS256+A128KW",
    ] {
        let header = json!({
            "alg": algorithm, "enc": "A256GCM", "zip": "DEF", "p2s": "AAAA", "p2c": 2_000_000_000,
        });
        let token = hs256(&header.to_string(), &good_claims().to_string());
        assert_eq!(user(&token), Err(AuthRefusal::AlgorithmNotAllowed));
        let five = token.replacen('.', ".AAAA.AAAA.", 1);
        assert_eq!(user(&five), Err(AuthRefusal::Malformed));
    }
    // A token in a token: its payload is no object.
    let outer = hs256(r#"{"alg":"HS256","cty":"JWT"}"#, &inner);
    assert_eq!(user(&outer), Err(AuthRefusal::Malformed));
    // What says that it is compressed, but is not, is read as it is; what is compressed is not.
    let zip = r#"{"alg":"HS256","zip":"DEF"}"#;
    assert_eq!(user(&header(zip)), Ok("alice".into()));
    let deflated = [0x78, 0x9c, 0xab, 0x56];
    let signed_zip = format!("{}.{}", encode(zip), BASE64URL_NOPAD.encode(&deflated));
    assert_eq!(
        user(&format!("{signed_zip}.{signature}")),
        Err(AuthRefusal::Malformed)
    );
    assert!(signed.contains('.'));
}

#[test]
fn only_the_compact_form_is_a_token() {
    let good = header(HEADER);
    let parts: Vec<_> = good.split('.').collect();
    let json = json!({
        "protected": parts[0], "payload": parts[1], "signature": parts[2],
    });
    let general = json!({
        "payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}],
    });
    for text in [
        json.to_string(),
        general.to_string(),
        format!("{good}\u{e9}"),
        format!("\"{good}\""),
        good.replacen('.', "..", 1),
        good.replacen('.', ".~", 1),
        good.replace('.', "/"),
    ] {
        // Not every such text can be in a header.
        if HeaderValue::from_str(&format!("Bearer {text}")).is_ok() {
            assert_eq!(user(&text), Err(AuthRefusal::Malformed), "{text}");
        }
    }
    let without_signature = format!("{}.{}", parts[0], parts[1]);
    assert_eq!(user(&without_signature), Err(AuthRefusal::Malformed));
}

#[test]
fn header_and_claims_are_utf_8() {
    let signed = |header: &[u8], claims: &[u8]| {
        let text = [header, claims].map(|part| BASE64URL_NOPAD.encode(part));
        let text = text.join(".");
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
        format!("{text}.{}", BASE64URL_NOPAD.encode(mac.as_ref()))
    };
    let claims = good_claims().to_string();
    let latin = claims.clone().into_bytes();
    let latin: Vec<_> = latin
        .iter()
        .map(|it| if *it == b'l' { 0xe9 } else { *it })
        .collect();
    let utf_16: Vec<_> = claims.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bom = [b"\xef\xbb\xbf", claims.as_bytes()].concat();
    let surrogate = claims.replace("alice", "\\ud800").into_bytes();
    for bad in [&latin[..], &utf_16, &bom, &surrogate] {
        let token = signed(HEADER.as_bytes(), bad);
        assert_eq!(user(&token), Err(AuthRefusal::Malformed));
        let token = signed(bad, claims.as_bytes());
        assert_eq!(user(&token), Err(AuthRefusal::Malformed));
    }
    let token = signed(HEADER.as_bytes(), claims.as_bytes());
    assert_eq!(user(&token), Ok("alice".into()));
}

#[test]
fn one_issuer_cannot_speak_for_the_user_of_another() {
    let other = Signer::es256();
    let identities = vec![
        identity("https://login", shared_secret()),
        identity("https://other", jwks(&[other.jwk()])),
    ];
    let both = authenticator(identities);
    let mut claims = good_claims();
    claims["iss"] = json!("https://other");
    let caller = |token: &str| {
        authenticate(&both, token)
            .map(|caller| (caller.issuer.to_string(), caller.pseudonym.to_string()))
    };
    let ours = caller(&header(HEADER)).unwrap();
    let theirs = caller(&other.sign("{}", &claims.to_string())).unwrap();
    // The same name is another user.
    assert_eq!((&*ours.0, &*theirs.0), ("https://login", "https://other"));
    assert_ne!(ours.1, theirs.1);
    let forged = other.sign("{}", &good_claims().to_string());
    assert_eq!(caller(&forged), Err(AuthRefusal::AlgorithmNotAllowed));
    for iss in [
        json!(["https://login", "https://other"]),
        json!("https://login "),
        json!("https://login/"),
        json!("HTTPS://login"),
    ] {
        assert!(caller(&with("iss", iss)).is_err());
    }
}

#[test]
fn another_kind_of_token_of_the_same_issuer_is_refused() {
    for kind in [
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "oauth-authz-req+jwt",
        "token-introspection+jwt",
        "vc+jwt",
        "entity-statement+jwt",
        "application/okta-internal-at+jwt",
        "liveness-verdict+jwt",
        "refresh",
        "at+jwt;v=1",
        "application/application/jwt",
    ] {
        let token = header(&json!({"alg": "HS256", "typ": kind}).to_string());
        assert_eq!(user(&token), Err(AuthRefusal::WrongType), "{kind}");
    }
}
