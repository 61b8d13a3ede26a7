//! Arbitrary key sets and PEM texts: no panic, no message that repeats key material. An issuer's
//! set is at least as usable as the operator's own, which must be right as a whole. Other spellings
//! of the same set yield the same keys.

#![no_main]

use data_encoding::{BASE64, BASE64URL_NOPAD};
use libfuzzer_sys::fuzz_target;
use liveness_gateway::auth::key_set::VerificationKeys;
use serde_json::{Value, json};

/// Members whose values nobody may read in a message.
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// A shorter value may occur in a message by chance.
const TELLING: usize = 8;

// The first digit says what the rest is: a key set, or a PEM text.
fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    if choice % 2 == 0 {
        key_set(text);
    } else if let Err(error) = VerificationKeys::from_pem(text) {
        assert!(error.to_string().len() < text.len() + 300);
    }
});

fn key_set(text: &[u8]) {
    let own = VerificationKeys::from_jwks(text);
    let fetched = VerificationKeys::from_fetched(text, None, None);
    let mut messages = Vec::new();
    let set: Option<Value> = serde_json::from_slice(text).ok();
    let keys = set.as_ref().and_then(|set| set["keys"].as_array());
    match &fetched {
        Ok(fetched) => {
            messages.extend(fetched.warnings.iter().map(ToString::to_string));
            // A member that is not read may hold what no tree can hold.
            assert!(set.is_none() || has_public_key(keys));
        }
        Err(error) => messages.push(error.to_string()),
    }
    match &own {
        Ok(_) => assert!(set.is_none() || has_public_key(keys) || fetched.is_err()),
        Err(error) => messages.push(error.to_string()),
    }
    let secrets = keys.into_iter().flatten().flat_map(secrets);
    for secret in secrets.filter(|secret| secret.len() >= TELLING) {
        assert!(messages.iter().all(|message| !message.contains(secret)));
    }
    if let Ok(fetched) = fetched {
        let again = VerificationKeys::from_fetched(text, None, Some(&fetched.keys));
        assert!(again.is_ok_and(|again| again.warnings == fetched.warnings));
        if let Some(set) = &set {
            means_the_same(set);
        }
    }
}

/// A tree has lost members that were given twice, so its own text is what must stay the same.
fn means_the_same(set: &Value) {
    let read = |text: &[u8], previous| VerificationKeys::from_fetched(text, None, previous);
    let plain = read(set.to_string().as_bytes(), None).expect("fewer members are no fault");
    let other = read(&respelled(set), Some(&plain.keys)).expect("a good key in another spelling");
    assert!(other.keys.is_same(&plain.keys));
}

/// The same set in another spelling.
fn respelled(set: &Value) -> Vec<u8> {
    let mut set = set.clone();
    let keys = set["keys"].as_array_mut().into_iter().flatten();
    for key in keys.filter_map(Value::as_object_mut) {
        let zeros = key.get("kty").is_some_and(|kind| kind != "OKP");
        for name in ["n", "e", "x", "y"] {
            let bytes = key.get(name).and_then(Value::as_str);
            let bytes = bytes.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                let more = if zeros { &[0][..] } else { &[] };
                let text = BASE64.encode(&[more, &bytes].concat());
                key.insert(name.into(), json!(format!("\n{text}")));
            }
        }
        if key.get("use").is_some_and(|purpose| purpose == "sig") {
            key.insert("use".into(), json!("Sig"));
        }
        for name in SECRET.iter().chain(&["use", "alg", "kid", "key_ops"]) {
            key.entry(*name).or_insert(Value::Null);
        }
        key.insert("more".into(), json!([{"kty": "oct"}]));
    }
    format!("\u{feff} {set}\n").into_bytes()
}

/// Whether some element has a type that verifies signatures, and nothing private.
fn has_public_key(keys: Option<&Vec<Value>>) -> bool {
    keys.into_iter().flatten().any(|key| {
        ["EC", "OKP", "RSA"].iter().any(|kind| key["kty"] == *kind)
            && SECRET[..7]
                .iter()
                .all(|name| key.get(name).is_none_or(Value::is_null))
    })
}

fn secrets(key: &Value) -> impl Iterator<Item = &str> {
    SECRET.iter().filter_map(|name| key.get(name)?.as_str())
}
