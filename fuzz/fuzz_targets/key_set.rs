//! Arbitrary key sets and PEM texts: no panic, no message that repeats key material. An issuer's
//! set is at least as usable as the operator's own, which must be right as a whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::auth::key_set::VerificationKeys;
use serde_json::Value;

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
            assert!(has_public_key(keys));
        }
        Err(error) => messages.push(error.to_string()),
    }
    match &own {
        Ok(_) => assert!(has_public_key(keys) || fetched.is_err()),
        Err(error) => messages.push(error.to_string()),
    }
    let secrets = keys.into_iter().flatten().flat_map(secrets);
    for secret in secrets.filter(|secret| secret.len() >= TELLING) {
        assert!(messages.iter().all(|message| !message.contains(secret)));
    }
    if let Ok(fetched) = fetched {
        let again = VerificationKeys::from_fetched(text, None, Some(&fetched.keys));
        assert!(again.is_ok_and(|again| again.warnings == fetched.warnings));
    }
}

/// Whether some element has a type that verifies signatures, and nothing private.
fn has_public_key(keys: Option<&Vec<Value>>) -> bool {
    keys.into_iter().flatten().any(|key| {
        ["EC", "OKP", "RSA"].iter().any(|kind| key["kty"] == *kind)
            && SECRET[..7].iter().all(|name| key.get(name).is_none())
    })
}

fn secrets(key: &Value) -> impl Iterator<Item = &str> {
    SECRET.iter().filter_map(|name| key.get(name)?.as_str())
}
