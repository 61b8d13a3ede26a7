//! The check accepts the published vectors and refuses every deviation from them.

use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::*;

/// 2026-11-23T09:00:10Z, the date of the vectors.
const VECTOR_TIME: i64 = 1_795_424_410;

struct SignedSample {
    account: EmulatorAccount,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl SignedSample {
    fn check_at(&self, now: i64) -> Result<(), AuthorizationError> {
        let head = SignedHead {
            method: &self.method,
            uri: &self.uri,
            headers: &self.headers,
        };
        self.account.check(&head, &self.body, now)
    }
}

fn samples(set: &str) -> Vec<(String, SignedSample)> {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors.json")).unwrap();
    file[set].as_array().unwrap().iter().map(sample).collect()
}

fn sample(vector: &Value) -> (String, SignedSample) {
    let text = |key: &str| vector[key].as_str().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(HOST, text("host").parse().unwrap());
    headers.insert(AUTHORIZATION, text("authorization").parse().unwrap());
    for (name, value) in vector["headers"].as_object().unwrap() {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value.as_str().unwrap()).unwrap(),
        );
    }
    let body = match vector.get("body_repeat") {
        Some(repeat) => repeat["byte"]
            .as_str()
            .unwrap()
            .repeat(repeat["count"].as_u64().unwrap() as usize)
            .into_bytes(),
        None => data_encoding::BASE64
            .decode(text("body_base64").as_bytes())
            .unwrap(),
    };
    let uri = match text("query") {
        "" => text("path").to_owned(),
        query => format!("{}?{query}", text("path")),
    };
    let sample = SignedSample {
        account: EmulatorAccount {
            keys: vec![EmulatorKeys {
                access_key: Secret::new(text("access_key")),
                secret_key: Secret::new(text("secret_key")),
            }],
        },
        method: text("method").parse().unwrap(),
        uri: uri.parse().unwrap(),
        headers,
        body,
    };
    (text("name").to_owned(), sample)
}

#[test]
fn every_vector_is_accepted() {
    for set in ["vectors", "majority_vectors"] {
        let samples = samples(set);
        assert!(samples.len() >= 10, "{set}");
        for (name, sample) in samples {
            assert_eq!(sample.check_at(VECTOR_TIME), Ok(()), "{name}");
            assert_eq!(
                sample.account.check_access_key(&sample.headers),
                Ok(()),
                "{name}"
            );
        }
    }
}

#[test]
fn any_change_is_a_bad_token() {
    let changes: [fn(&mut SignedSample); 10] = [
        |s| s.body.push(b' '),
        |s| s.method = Method::PUT,
        |s| s.uri = "/v2/actionliveness/verify".parse().unwrap(),
        |s| s.uri = "/v2/actionliveness/sessioncode?a=1".parse().unwrap(),
        |s| drop(s.headers.insert(HOST, "127.0.0.1".parse().unwrap())),
        |s| drop(s.headers.remove(HOST)),
        |s| {
            drop(s.headers.insert(
                CONTENT_TYPE,
                "application/json; charset=utf-8".parse().unwrap(),
            ))
        },
        |s| drop(s.headers.insert("x-qiniu-extra", "1".parse().unwrap())),
        |s| drop(s.headers.remove(AUTHORIZATION)),
        |s| s.account.keys[0].secret_key = Secret::new("another"),
    ];
    for (index, change) in changes.iter().enumerate() {
        let (_, mut sample) = samples("vectors").swap_remove(0);
        change(&mut sample);
        assert_eq!(
            sample.check_at(VECTOR_TIME),
            Err(AuthorizationError::BadToken),
            "change {index}"
        );
    }
}

#[test]
fn each_pair_of_keys_is_accepted_and_never_mixed() {
    let (_, mut sample) = samples("vectors").swap_remove(0);
    let other = |access_key| EmulatorKeys {
        access_key: Secret::new(access_key),
        secret_key: Secret::new("another"),
    };
    sample.account.keys.insert(0, other("another"));
    assert_eq!(sample.check_at(VECTOR_TIME), Ok(()));
    sample.account.keys.swap(0, 1);
    assert_eq!(sample.check_at(VECTOR_TIME), Ok(()));

    let right = sample.account.keys.remove(0).secret_key;
    assert_eq!(
        sample.check_at(VECTOR_TIME),
        Err(AuthorizationError::BadToken)
    );
    sample.account.keys[0].secret_key = right;
    assert_eq!(
        sample.check_at(VECTOR_TIME),
        Err(AuthorizationError::BadToken)
    );
}

#[test]
fn other_schemes_and_spellings_are_bad_tokens() {
    let (_, sample) = samples("vectors").swap_remove(0);
    let good = sample.headers[AUTHORIZATION].to_str().unwrap().to_owned();
    let wrong = [
        good.replace("Qiniu ", "QBox "),
        good.replace("Qiniu ", "qiniu "),
        good.replace("Qiniu ", "Qiniu  "),
        good.replace("Qiniu ", "UpToken "),
        good.trim_end_matches('=').to_owned(),
        format!("{good}="),
        good.replace("AK01:", "AK02:"),
        "Qiniu ".to_owned(),
    ];
    for token in wrong {
        let (_, mut sample) = samples("vectors").swap_remove(0);
        sample.headers.insert(AUTHORIZATION, token.parse().unwrap());
        assert_eq!(
            sample.check_at(VECTOR_TIME),
            Err(AuthorizationError::BadToken),
            "{token}"
        );
    }
    let (_, mut doubled) = samples("vectors").swap_remove(0);
    doubled.headers.append(AUTHORIZATION, good.parse().unwrap());
    assert_eq!(
        doubled.check_at(VECTOR_TIME),
        Err(AuthorizationError::BadToken)
    );
}

#[test]
fn the_date_may_be_almost_fifteen_minutes_off() {
    let (_, dated) = samples("vectors").swap_remove(1);
    for (offset, expected) in [
        (899, Ok(())),
        (-899, Ok(())),
        (900, Err(AuthorizationError::StaleDate)),
        (-900, Err(AuthorizationError::StaleDate)),
    ] {
        assert_eq!(dated.check_at(VECTOR_TIME + offset), expected, "{offset}");
    }
    let (_, undated) = samples("vectors").swap_remove(0);
    assert_eq!(undated.check_at(0), Ok(()));
}

#[test]
fn dates_are_read_strictly() {
    assert_eq!(unix_seconds(b"19700101T000000Z"), Some(0));
    assert_eq!(unix_seconds(b"20000229T235959Z"), Some(951_868_799));
    assert_eq!(unix_seconds(b"20261123T090010Z"), Some(VECTOR_TIME));
    for wrong in [
        "",
        "20230229T000000Z",
        "20261123T240000Z",
        "20261323T000000Z",
        "20261123 090010Z",
        "20261123T090010",
        "+0261123T090010Z",
        "2026112éT09001Z",
    ] {
        assert_eq!(unix_seconds(wrong.as_bytes()), None, "{wrong}");
    }
}
