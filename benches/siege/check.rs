//! Whether a response is right: the status, the session's form, the verdict and whose it is, and no
//! picture.
//!
//! Relies on the keys that the harness gives the gateway to sign verdicts with. Never sends
//! anything.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::api::has_picture;

/// The key that signs verdicts: RFC 8037, appendix A.1.
pub(crate) const VERDICT_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
/// The key that follows it: RFC 8032, section 7.1, test 2.
pub(crate) const NEXT_VERDICT_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n-----END PRIVATE KEY-----\n";
/// Their public keys, as in the same places.
const VERDICT_PUBLIC: [&[u8]; 2] = [
    b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    b"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
];

/// What a response is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// As it has to be.
    Right,
    /// The gateway or Qiniu did not serve the request, and says so.
    Refused(u16),
    /// What must never happen; the text says what.
    Wrong(String),
}

/// Judges a response to `sessioncode`.
pub(crate) fn session(status: u16, body: &[u8]) -> Judgement {
    judge(status, body, |response| {
        let result = &response["result"];
        let sealed = result["session_id"].as_str().unwrap_or_default();
        if sealed.strip_prefix("lg1.").is_none_or(|it| it.len() < 40) {
            return Some("the session is not sealed".to_owned());
        }
        let code = result["code"].as_str().unwrap_or_default();
        let digits = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit());
        (!digits).then(|| "the code is not a number".to_owned())
    })
}

/// Judges a response to a `verify` of this user.
pub(crate) fn verify(status: u16, body: &[u8], user: &str) -> Judgement {
    judge(status, body, |response| {
        let result = &response["result"];
        let images = result["pic_list"].as_array().map_or(0, Vec::len);
        if images == 0 || result["score"].as_f64() != Some(0.9713) {
            return Some("the result is another than Qiniu's".to_owned());
        }
        let verdict = response["verdict"].as_str().unwrap_or_default();
        let Some(claims) = claims(verdict) else {
            return Some("the verdict is not signed by the gateway".to_owned());
        };
        if claims["sub"] != user {
            return Some("the verdict is another user's".to_owned());
        }
        (claims["liveness"]["passed"] != true).then(|| "the verdict is no pass".to_owned())
    })
}

/// Judges a response to a `verify` with another user's session.
pub(crate) fn foreign(status: u16, body: &[u8]) -> Judgement {
    let response: Value = serde_json::from_slice(body).unwrap_or_default();
    match status {
        403 if response["code"] == "session_rejected" => Judgement::Right,
        429 | 503 => Judgement::Refused(status),
        _ => Judgement::Wrong(format!("another user's session got {status}")),
    }
}

fn judge(status: u16, body: &[u8], wrong: impl FnOnce(&Value) -> Option<String>) -> Judgement {
    match status {
        200 => {}
        // What a user may be told while something is short or out of order.
        408 | 409 | 429 | 502 | 503 | 504 => return Judgement::Refused(status),
        _ => {
            let text = String::from_utf8_lossy(body);
            let text: String = text.chars().take(200).collect();
            return Judgement::Wrong(format!("status {status}: {text}"));
        }
    }
    let Ok(response) = serde_json::from_slice::<Value>(body) else {
        return Judgement::Wrong("a response with status 200 is not JSON".to_owned());
    };
    if has_picture(&response) {
        return Judgement::Wrong("a picture is left".to_owned());
    }
    if response["error_code"] != 0 {
        return match response["error_code"].as_u64() {
            Some(_) if response["result"].is_null() => Judgement::Refused(status),
            _ => Judgement::Wrong("an error of Qiniu's with a result".to_owned()),
        };
    }
    wrong(&response).map_or(Judgement::Right, Judgement::Wrong)
}

/// The claims of a verdict, if the gateway signed it.
fn claims(verdict: &str) -> Option<Value> {
    let (signed, signature) = verdict.rsplit_once('.')?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    let is_signed = VERDICT_PUBLIC.iter().any(|key| {
        let key = BASE64URL_NOPAD.decode(key).unwrap_or_default();
        let key = UnparsedPublicKey::new(&ED25519, key);
        key.verify(signed.as_bytes(), &signature).is_ok()
    });
    if !is_signed {
        return None;
    }
    let claims = signed.split('.').nth(1)?;
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
    serde_json::from_slice(&claims).ok()
}
