//! Which keys a key set accepts, and the errors for the others.

use super::{algorithms::Signer, *};
use crate::auth::{Algorithm, KeySetError};

fn jwks(keys: &[Value]) -> Result<VerificationKeys, KeySetError> {
    VerificationKeys::from_jwks(json!({"keys": keys}).to_string().as_bytes())
}

fn jwks_error(keys: &[Value]) -> String {
    let error = jwks(keys).err().expect("the set was accepted");
    error.to_string()
}

fn pem_error(pem: &str) -> String {
    let error = VerificationKeys::from_pem(pem.as_bytes());
    error.err().expect("the text was accepted").to_string()
}

pub(super) fn set(mut jwk: Value, changes: &[(&str, Value)]) -> Value {
    for (member, value) in changes {
        jwk[*member] = value.clone();
    }
    jwk
}

#[test]
fn a_secret_has_32_bytes_and_is_no_pem_text() {
    let secret = |text: &str| {
        let error = VerificationKeys::from_secret(&Secret::new(text)).err();
        error.map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(secret(&"x".repeat(32)), "");
    assert!(secret(&"x".repeat(31)).contains("31 bytes"));
    assert!(secret("").contains("0 bytes"));
    assert!(secret(&Signer::es256().pem()).contains("public_key_file"));
}

#[test]
fn every_type_of_public_pem_is_accepted() {
    for signer in Signer::all_public() {
        let token = signer.sign("{}", &good_claims().to_string());
        let pem = format!("subject=somebody\n{}", signer.pem().replace('\n', "\r\n"));
        assert_eq!(
            user_with(VerificationKeys::from_pem(pem.as_bytes()).unwrap(), &token),
            Ok("alice".into())
        );
        let spaced = format!("\n  {}", pem.replace("\r\n", " \n\n\t"));
        let spaced = VerificationKeys::from_pem(spaced.as_bytes()).unwrap();
        assert_eq!(user_with(spaced, &token), Ok("alice".into()));
        let certificate = VerificationKeys::from_pem(signer.certificate().as_bytes()).unwrap();
        assert_eq!(user_with(certificate, &token), Ok("alice".into()));
    }
    let rsa = Signer::rsa();
    let token = rsa.sign("{}", &good_claims().to_string());
    assert_eq!(
        user_with(
            VerificationKeys::from_pem(rsa.pkcs1_pem().as_bytes()).unwrap(),
            &token
        ),
        Ok("alice".into())
    );
}

#[test]
fn a_private_pem_is_refused_by_its_label_and_not_repeated() {
    for signer in Signer::all_public() {
        let private = signer.private_pem();
        let error = pem_error(&private);
        assert!(error.contains("private key") && !error.contains(private.lines().nth(1).unwrap()));
        let both = format!("{private}\n{}", signer.pem());
        assert!(pem_error(&both).contains("private key"));
    }
    for label in [
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
    ] {
        let error = pem_error(&format!(
            "-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n"
        ));
        assert!(error.contains("private key") && error.contains(label));
    }
}

#[test]
fn a_damaged_pem_is_refused() {
    let pem = Signer::es256().pem();
    assert!(pem_error("").contains("no PEM block"));
    assert!(pem_error(&format!("{pem}{pem}")).contains("more than one"));
    assert!(pem_error(&pem.replace("END", "FIN")).contains("END PUBLIC KEY"));
    assert!(pem_error(&pem.replace("BEGIN PUBLIC", "BEGIN EC")).contains("END EC KEY"));
    assert!(
        pem_error("-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----").contains("base64")
    );
    assert!(
        pem_error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
            .contains("not a valid")
    );
    assert!(
        pem_error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
            .contains("openssl x509")
    );
    assert!(
        pem_error("-----BEGIN X-----\nAAAA\n-----END X-----").contains("expected `PUBLIC KEY`")
    );
    let der = VerificationKeys::from_pem(&[0x30, 0x82, 0xff])
        .err()
        .unwrap();
    assert_eq!(der, KeySetError::NoText);
    let headers = pem.replacen("KEY-----\n", "KEY-----\nProc-Type: 4,CLEAR\n\n", 1);
    assert!(pem_error(&headers).contains("base64"));
}

#[test]
fn every_type_of_jwk_is_accepted() {
    for signer in Signer::all() {
        let token = signer.sign("{}", &good_claims().to_string());
        assert_eq!(
            user_with(jwks(&[signer.jwk()]).unwrap(), &token),
            Ok("alice".into())
        );
        let known = set(
            signer.jwk(),
            &[
                ("use", json!("sig")),
                ("key_ops", json!(["sign", "verify"])),
            ],
        );
        assert_eq!(
            user_with(jwks(&[known]).unwrap(), &token),
            Ok("alice".into())
        );
    }
}

#[test]
fn a_private_or_weak_jwk_makes_the_set_of_a_file_unusable() {
    let good = Signer::ed25519().jwk();
    for signer in Signer::all_public() {
        let private = set(
            signer.jwk(),
            &[("kid", json!("mine")), ("d", json!("c2VjcmV0"))],
        );
        let error = jwks_error(&[good.clone(), private]);
        assert!(
            error.contains("private") && error.contains("\"mine\"") && !error.contains("c2VjcmV0"),
            "{error}"
        );
    }
    let rsa = |bytes: &[u8]| {
        set(
            Signer::rsa().jwk(),
            &[("n", json!(BASE64URL_NOPAD.encode(bytes)))],
        )
    };
    assert!(jwks_error(&[good.clone(), rsa(&[0xff; 128])]).contains("1024 bits"));
    assert!(jwks_error(&[rsa(&[&[0x7f][..], &[0xff; 255]].concat())]).contains("2047 bits"));
    assert!(jwks_error(&[rsa(&[0xff; 1025])]).contains("RSA"));
    assert!(jwks(&[rsa(&[0xff; 256])]).is_ok());
    let short = json!({"kty": "oct", "k": BASE64URL_NOPAD.encode(&[7; 31])});
    assert!(jwks_error(&[good, short]).contains("31 bytes"));
}

#[test]
fn a_damaged_jwk_makes_the_set_of_a_file_unusable() {
    let (rsa, ec, ed) = (
        Signer::rsa().jwk(),
        Signer::es256().jwk(),
        Signer::ed25519().jwk(),
    );
    let raw = BASE64URL_NOPAD
        .decode(ed["x"].as_str().unwrap().as_bytes())
        .unwrap();
    let wrapped = [
        b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
        &raw[..],
    ]
    .concat();
    let cases = [
        (set(rsa.clone(), &[("n", json!("AA=A"))]), "`n`"),
        (set(rsa.clone(), &[("n", json!(""))]), "`n`"),
        (set(rsa.clone(), &[("e", json!("Ag"))]), "RSA"),
        (set(rsa.clone(), &[("kid", json!(1.5))]), "`kid`"),
        (set(rsa.clone(), &[("alg", json!("HS256"))]), "HS256"),
        (set(ec.clone(), &[("alg", json!("ES384"))]), "ES384"),
        (set(ec.clone(), &[("x", json!("A".repeat(64)))]), "curve"),
        (set(ec.clone(), &[("x", ec["y"].clone())]), "curve"),
        (set(ec.clone(), &[("key_ops", json!(7))]), "`key_ops`"),
        (set(ed.clone(), &[("x", json!("AAAA"))]), "Ed25519"),
        (
            set(
                ed.clone(),
                &[("x", json!(BASE64URL_NOPAD.encode(&wrapped)))],
            ),
            "Ed25519",
        ),
        (set(ed.clone(), &[("use", json!(7))]), "`use`"),
        (json!({"kid": "a"}), "`kty`"),
        (json!({"kty": "oct"}), "`k`"),
    ];
    for (jwk, expected) in cases {
        let error = jwks_error(&[ed.clone(), jwk]);
        assert!(
            error.contains("key 2") && error.contains(expected),
            "{expected}: {error}"
        );
    }
}

#[test]
fn a_text_that_is_no_key_set_is_refused_and_not_repeated() {
    let error = |text: &str| {
        let error = VerificationKeys::from_jwks(text.as_bytes()).err();
        error.expect("the text was accepted").to_string()
    };
    let wrong = [
        "",
        "[]",
        "{}",
        "[[]]",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
    ];
    for text in wrong {
        assert!(error(text).contains("JSON Web Key Set"), "{text}");
    }
    assert!(error(r#"{"keys":[{"kty":"OKP","kty":"oct"}]}"#).contains("twice"));
    let element = error(r#"{"keys":["topsecret"]}"#);
    assert!(element.contains("key 1") && element.contains("JSON object"));
    assert!(!element.contains("topsecret"), "{element}");
}

#[test]
fn unsupported_keys_are_skipped() {
    let good = Signer::ed25519();
    let others = [
        json!({"kty": "AKP", "pub": "AAAA"}),
        set(Signer::rsa().jwk(), &[("kty", json!("AKP"))]),
        set(Signer::es256().jwk(), &[("kty", json!("ec"))]),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
        json!({"kty": "OKP", "crv": "Ed448", "x": "AA", "alg": "Ed448", "kid": {}}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        set(Signer::es256().jwk(), &[("alg", json!("ES512"))]),
        set(Signer::rsa().jwk(), &[("use", json!("enc"))]),
        set(Signer::rsa().jwk(), &[("alg", json!("RSA-OAEP"))]),
        set(Signer::rsa().jwk(), &[("key_ops", json!(["encrypt"]))]),
    ];
    for other in &others {
        assert!(
            jwks_error(std::slice::from_ref(other)).contains("no usable key"),
            "{other}"
        );
    }
    let mixed = jwks(&[&others[..], &[good.jwk()]].concat()).unwrap();
    assert_eq!(
        user_with(mixed, &good.sign("{}", &good_claims().to_string())),
        Ok("alice".into())
    );
    assert!(jwks_error(&[]).contains("no keys"));
}

#[test]
fn a_key_id_selects_the_key() {
    let (one, two, three) = (Signer::ed25519(), Signer::ed25519(), Signer::ed25519());
    let named = |signer: &Signer, id: &str| set(signer.jwk(), &[("kid", json!(id))]);
    let ask = |signer: &Signer, header: &str| {
        let keys = jwks(&[
            named(&one, "a"),
            named(&two, "a"),
            named(&three, "c"),
            Signer::es256().jwk(),
        ])
        .unwrap();
        user_with(keys, &signer.sign(header, &good_claims().to_string()))
    };
    // Two keys with one id are both tried; without an id, all are.
    for signer in [&one, &two] {
        assert_eq!(ask(signer, r#"{"kid":"a"}"#), Ok("alice".into()));
    }
    assert_eq!(ask(&three, "{}"), Ok("alice".into()));
    assert_eq!(
        ask(&three, r#"{"kid":"a"}"#),
        Err(AuthRefusal::BadSignature)
    );
    assert_eq!(ask(&three, r#"{"kid":"b"}"#), Err(AuthRefusal::UnknownKey));
    assert_eq!(ask(&three, r#"{"kid":""}"#), Err(AuthRefusal::UnknownKey));
    // A single key has no id, so any `kid` is accepted.
    let alone = VerificationKeys::from_pem(one.pem().as_bytes()).unwrap();
    let token = one.sign(r#"{"kid":"anything"}"#, &good_claims().to_string());
    assert_eq!(user_with(alone, &token), Ok("alice".into()));
}

#[test]
fn at_most_eight_keys_are_tried() {
    let signer = Signer::ed25519();
    let others: Vec<Value> = (0..8).map(|_| Signer::ed25519().jwk()).collect();
    let token = signer.sign("{}", &good_claims().to_string());
    let eighth = [&others[..7], &[signer.jwk()]].concat();
    assert_eq!(
        user_with(jwks(&eighth).unwrap(), &token),
        Ok("alice".into())
    );
    let ninth = [&others[..], &[signer.jwk()]].concat();
    assert_eq!(
        user_with(jwks(&ninth).unwrap(), &token),
        Err(AuthRefusal::BadSignature)
    );
}

#[test]
fn the_operator_can_restrict_the_algorithms() {
    let rsa = Signer::rsa();
    let keys = || VerificationKeys::from_pem(rsa.pem().as_bytes()).unwrap();
    let token = |algorithm| rsa.sign_as(algorithm, "{}", &good_claims().to_string());
    let only = || keys().restrict(&[Algorithm::PS256]).ok().unwrap();
    assert_eq!(
        user_with(only(), &token(Algorithm::PS256)),
        Ok("alice".into())
    );
    assert_eq!(
        user_with(only(), &token(Algorithm::RS256)),
        Err(AuthRefusal::AlgorithmNotAllowed)
    );
    let error = keys()
        .restrict(&[Algorithm::RS256, Algorithm::ES256])
        .err()
        .unwrap();
    assert_eq!(error, KeySetError::UnusedAlgorithm(Algorithm::ES256));
    assert!(keys().restrict(&[]).is_err());
}
