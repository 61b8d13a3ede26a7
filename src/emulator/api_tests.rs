//! Each error code of the two endpoints, and the outcomes that spend a session.

use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::json;

use super::*;
use crate::emulator::{scenario::Scenario, sessions::LIFETIME};

const VIDEO: &[u8] = include_bytes!("../../tests/data/h264-moov-first.mp4");
const TOO_LONG: &[u8] = include_bytes!("../../tests/data/too-long.mp4");

struct ApiFixture {
    api: EmulatorApi,
    handle: EmulatorHandle,
    now: EmulatorTime,
}

impl ApiFixture {
    fn new() -> Self {
        let now = EmulatorTime {
            instant: Instant::now(),
            unix: 0,
        };
        Self {
            api: EmulatorApi::new(),
            handle: EmulatorHandle::new(Scenario::Pass),
            now,
        }
    }

    fn raw(&self, endpoint: EmulatedEndpoint, body: &[u8]) -> Value {
        let response = self
            .api
            .call(endpoint, body, self.now, &self.handle)
            .unwrap();
        serde_json::from_slice(&response).unwrap()
    }

    /// The error code of a call. An error must have no result, and a success must have one.
    fn code(&self, endpoint: EmulatedEndpoint, body: &Value) -> u64 {
        let response = self.raw(endpoint, body.to_string().as_bytes());
        let code = response["error_code"].as_u64().unwrap();
        assert_eq!(response.get("result").is_some(), code == 0);
        assert_eq!(response["error_msg"] == "SUCCESS", code == 0);
        assert!(response["serverlogid"].is_u64());
        code
    }

    fn session(&self) -> String {
        let response = self.raw(EmulatedEndpoint::SessionCode, b"{}");
        response["result"]["session_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Verifies with a new session; `fields` replace valid ones, and null removes one.
    fn verify_with(&self, fields: &Value) -> u64 {
        let mut body = json!({"session_id": self.session(), "video_base64": BASE64.encode(VIDEO)});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        self.code(EmulatedEndpoint::Verify, &body)
    }
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let api = ApiFixture::new();
    let deep = "[".repeat(100_000);
    for body in [
        "",
        " ",
        "x",
        "[]",
        "\"a\"",
        "null",
        "{",
        "{}{}",
        "{\"a\":1,}",
        "{\"\u{0}\":1",
        &deep,
    ] {
        for endpoint in [EmulatedEndpoint::SessionCode, EmulatedEndpoint::Verify] {
            assert_eq!(
                api.raw(endpoint, body.as_bytes())["error_code"],
                222_200,
                "{body:.20}"
            );
        }
    }
    assert_eq!(
        api.raw(EmulatedEndpoint::Verify, b"{\"session_id\":\"\xff\"}")["error_code"],
        222_200
    );
}

#[test]
fn code_lengths_are_checked() {
    let api = ApiFixture::new();
    let wrong = [
        json!(0),
        json!(4),
        json!(-1),
        json!(1.0),
        json!("1"),
        json!(null),
        json!([1]),
        json!(u64::MAX),
    ];
    for value in &wrong {
        assert_eq!(
            api.code(
                EmulatedEndpoint::SessionCode,
                &json!({"min_code_length": value})
            ),
            222_028,
            "{value}"
        );
        assert_eq!(
            api.code(
                EmulatedEndpoint::SessionCode,
                &json!({"max_code_length": value})
            ),
            222_029,
            "{value}"
        );
    }
    let turned = json!({"min_code_length": 3, "max_code_length": 2});
    assert_eq!(api.code(EmulatedEndpoint::SessionCode, &turned), 222_027);
}

#[test]
fn codes_keep_to_the_lengths_asked_for() {
    let api = ApiFixture::new();
    for (min, max) in [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3)] {
        let asked = json!({"min_code_length": min, "max_code_length": max, "unknown": {}});
        for _ in 0..20 {
            let response = api.raw(EmulatedEndpoint::SessionCode, asked.to_string().as_bytes());
            let length = response["result"]["code"].as_str().unwrap().len();
            assert!((min..=max).contains(&length));
        }
    }
}

#[test]
fn parameters_of_verify_are_checked() {
    let api = ApiFixture::new();
    for (fields, code) in [
        (json!({"session_id": null}), 222_001),
        (json!({"session_id": 7}), 222_002),
        (json!({"session_id": ""}), 216_502),
        (json!({"session_id": "S0000000000000000000000"}), 216_502),
        (json!({"video_base64": null}), 222_001),
        (json!({"video_base64": ["x"]}), 222_003),
        (json!({"video_base64": ""}), 216_508),
        (
            json!({"video_base64": "data:video/mp4;base64,AAAA"}),
            216_508,
        ),
        (json!({"video_base64": BASE64.encode(TOO_LONG)}), 216_510),
        (json!({"face_field": 1}), 222_017),
        (json!({"face_field": ""}), 222_017),
        (json!({"face_field": "spoofing, quality"}), 222_017),
        (json!({"face_field": "spoofing,spoofing"}), 222_017),
        (json!({"face_field": "age"}), 222_017),
        (json!({"face_field": "quality,spoofing"}), 0),
        (json!({"type_identify": "voice", "other": [1]}), 0),
    ] {
        assert_eq!(api.verify_with(&fields), code, "{:.60}", fields.to_string());
    }
}

#[test]
fn every_outcome_spends_the_session() {
    let api = ApiFixture::new();
    let good = BASE64.encode(VIDEO);
    for first in [
        json!({"video_base64": good}),
        json!({"video_base64": "!"}),
        json!({"video_base64": 1}),
        json!({"video_base64": good, "face_field": "age"}),
        json!({}),
    ] {
        let id = api.session();
        let mut body = first.clone();
        body["session_id"] = json!(id);
        let _ = api.code(EmulatedEndpoint::Verify, &body);
        let again = json!({"session_id": id, "video_base64": good});
        assert_eq!(api.code(EmulatedEndpoint::Verify, &again), 216_502);
    }
    api.handle.set_scenario(Scenario::Error(216_501));
    let body = json!({"session_id": api.session(), "video_base64": good});
    assert_eq!(api.code(EmulatedEndpoint::Verify, &body), 216_501);
    assert_eq!(api.code(EmulatedEndpoint::Verify, &body), 216_502);
}

#[test]
fn a_session_expires_by_the_clock_that_is_passed_in() {
    let mut api = ApiFixture::new();
    let (early, late) = (api.session(), api.session());
    let verify = |id: &str| json!({"session_id": id, "video_base64": BASE64.encode(VIDEO)});
    api.now.instant += LIFETIME - Duration::from_millis(1);
    assert_eq!(api.code(EmulatedEndpoint::Verify, &verify(&early)), 0);
    api.now.instant += Duration::from_millis(1);
    assert_eq!(api.code(EmulatedEndpoint::Verify, &verify(&late)), 216_502);
}

#[test]
fn one_of_many_concurrent_verifies_succeeds() {
    let api = ApiFixture::new();
    let body = json!({"session_id": api.session(), "video_base64": BASE64.encode(VIDEO)});
    let codes: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| api.code(EmulatedEndpoint::Verify, &body)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1);
    assert_eq!(codes.iter().filter(|code| **code == 216_502).count(), 7);
}
