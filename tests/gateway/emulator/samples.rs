//! The emulator's responses have the shape of Qiniu's examples: the same members in the same order,
//! of the same types. What it says of a wrong video helps whoever made it, in the same shape.

use data_encoding::BASE64;
use liveness_gateway::emulator::Scenario;
use serde_json::json;

use super::harness::{SESSION, VERIFY, VIDEO, signed, start};

const THRESHOLDS: &str = "thresholds:{frr_1e-4:n,frr_1e-3:n,frr_1e-2:n}";
const PLAIN_IMAGE: &str = "{pic:s,face_token:s,face_id:s,liveness_score:n}";
const FULL_IMAGE: &str = "{pic:s,face_token:s,face_id:s,liveness_score:n,spoofing:n,\
    quality:{occlusion:{left_eye:n,right_eye:n,nose:n,mouth:n,left_cheek:n,right_cheek:n,\
    chin_contour:n},blur:n,illumination:n,completeness:n,angle:{yaw:n,pitch:n,roll:n}}}";

/// A JSON document with `s` for each string and `n` for each number, without the quotes of names.
fn shape(json: &[u8]) -> String {
    let text = std::str::from_utf8(json).unwrap();
    let mut shape = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            // No string here has an escape.
            '"' => rest[1..].find('"').unwrap() + 2,
            '-' | '0'..='9' => rest.find([',', '}', ']']).unwrap(),
            _ => 1,
        };
        let (token, behind) = rest.split_at(length);
        match first {
            '"' if behind.starts_with(':') => shape.push_str(token.trim_matches('"')),
            '"' => shape.push('s'),
            '-' | '0'..='9' => shape.push('n'),
            _ => shape.push(first),
        }
        rest = behind;
    }
    shape
}

fn verified(scores: &str, image: &str) -> String {
    let list = [image; 8].join(",");
    format!(
        "{{error_code:n,error_msg:s,serverlogid:n,result:{{{scores},{THRESHOLDS},\
         best_image:{image},pic_list:[{list}]}}}}"
    )
}

/// The objects of an example are sorted by the parser, so only their names and types are compared.
fn sorted(shape: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = shape.split([',', '{', '}']).collect();
    parts.sort_unstable();
    parts
}

#[tokio::test]
async fn responses_have_the_members_and_types_of_qiniu_s_examples() {
    let emulator = start().await;
    let session = emulator.call(SESSION, &json!({})).await;
    assert_eq!(
        shape(&session.body),
        "{error_code:n,error_msg:s,serverlogid:n,result:{session_id:s,code:s}}"
    );
    let plain = emulator.verify(VIDEO, "").await;
    let expected = verified("score:n,action_verify:s", PLAIN_IMAGE);
    assert_eq!(shape(&plain.body), expected);
    let full = emulator.verify(VIDEO, "spoofing,quality").await;
    let scores = "score:n,maxspoofing:n,spoofing_score:n,action_verify:s";
    let expected = verified(scores, FULL_IMAGE);
    assert_eq!(sorted(&shape(&full.body)), sorted(&expected));
    // The order of those that matter to a person who reads along.
    let text = String::from_utf8(full.body.clone()).unwrap();
    let order = [
        "\"error_code\"",
        "\"score\"",
        "\"maxspoofing\"",
        "\"action_verify\"",
        "\"thresholds\"",
        "\"best_image\"",
        "\"pic_list\"",
    ];
    assert!(
        order
            .iter()
            .map(|name| text.find(name).unwrap())
            .is_sorted()
    );
    let result = &full.json()["result"];
    let best = &result["best_image"];
    assert_eq!(best["face_id"], best["face_token"]);
    assert_eq!(best["face_token"].as_str().unwrap().len(), 32);
    assert_eq!(
        result["thresholds"],
        json!({"frr_1e-4": 0.05, "frr_1e-3": 0.3, "frr_1e-2": 0.9})
    );
    for part in ["score", "maxspoofing", "spoofing_score"] {
        assert!(
            (0.0..=1.0).contains(&result[part].as_f64().unwrap()),
            "{part}"
        );
    }
    emulator.handle.set_scenario(Scenario::ActionFail);
    let failed = emulator.verify(VIDEO, "").await;
    assert_eq!(shape(&failed.body), shape(&plain.body));
    assert_eq!(failed.json()["result"]["action_verify"], "fail");
}

#[tokio::test]
async fn a_session_that_is_used_twice_gets_the_response_of_the_example() {
    let emulator = start().await;
    let body =
        json!({"session_id": emulator.session().await, "video_base64": BASE64.encode(VIDEO)});
    emulator.call(VERIFY, &body).await;
    let again = emulator.call(VERIFY, &body).await;
    assert_eq!(
        shape(&again.body),
        "{error_code:n,error_msg:s,serverlogid:n}"
    );
    let json = again.json();
    assert_eq!(
        (&json["error_code"], &json["error_msg"]),
        (&216_502.into(), &"session lapse".into())
    );
}

#[tokio::test]
async fn an_injected_error_has_its_documented_message_and_nothing_else() {
    let emulator = start().await;
    for (code, message) in [
        (216_430, "rtse/face service error"),
        (216_501, "not found face"),
        (216_507, "found many faces"),
        (222_202, "pic not has face"),
        (18, "Open api qps request limit reached"),
    ] {
        emulator.handle.set_scenario(Scenario::Error(code));
        let answer = emulator.verify(VIDEO, "").await;
        assert_eq!(
            shape(&answer.body),
            "{error_code:n,error_msg:s,serverlogid:n}"
        );
        assert_eq!(answer.json()["error_msg"], message, "{code}");
    }
}

/// Wrong values of `video_base64`, and what is said of them.
fn wrong_texts() -> [(String, &'static str); 4] {
    let whole = BASE64.encode(VIDEO);
    [
        (String::new(), "is empty"),
        (
            format!("data:video/mp4;base64,{whole}"),
            "only what follows the comma",
        ),
        (
            "https://example.com/a.mp4".to_owned(),
            "send the video itself",
        ),
        (format!("{}\n", &whole[..76]), "no blanks or line breaks"),
    ]
}

/// Wrong files, and what is said of them.
fn wrong_files() -> Vec<(String, &'static str)> {
    let big = [VIDEO, &vec![0; 20 * 1024 * 1024 + 1 - VIDEO.len()]].concat();
    let files: [(&[u8], _); 10] = [
        (
            b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01",
            "avc1.42E01F",
        ),
        (b"GIF89a", "record 1 to 10 s of H.264 in MP4"),
        (&VIDEO[..VIDEO.len() / 2], "not a complete MP4 file"),
        (&big, "larger than 20 MiB"),
        (
            include_bytes!("../../data/audio-only.mp4"),
            "no video track",
        ),
        (
            include_bytes!("../../data/hevc.mp4"),
            "not encoded as H.264",
        ),
        (
            include_bytes!("../../data/too-small.mp4"),
            "must have 16 to 2032",
        ),
        (
            include_bytes!("../../data/too-wide.mp4"),
            "must have 16 to 2032",
        ),
        (
            include_bytes!("../../data/too-short.mp4"),
            "shorter than 1 s",
        ),
        (
            include_bytes!("../../data/too-long.mp4"),
            "longer than 10 s",
        ),
    ];
    let encoded = files
        .iter()
        .map(|(file, told)| (BASE64.encode(file), *told));
    encoded.collect()
}

#[tokio::test]
async fn what_is_wrong_with_a_video_is_said_behind_qiniu_s_message() {
    let emulator = start().await;
    for (video, told) in wrong_texts().into_iter().chain(wrong_files()) {
        let body = json!({"session_id": emulator.session().await, "video_base64": video});
        let answer = emulator.call(VERIFY, &body).await;
        let (code, message) = match told {
            "longer than 10 s" => (216_510, "video is too long"),
            _ => (216_508, "not found video info"),
        };
        assert_eq!(answer.code(), code, "{told}");
        let json = answer.json();
        assert_eq!(json.as_object().unwrap().len(), 3, "{json}");
        let said = json["error_msg"].as_str().unwrap();
        assert!(
            said.starts_with(&format!("{message} (emulator: ")),
            "{said}"
        );
        assert!(said.contains(told), "{said}");
    }
    assert_eq!(emulator.handle.billed_calls(), 0);
}

#[tokio::test]
async fn a_rejection_below_the_api_has_the_shape_of_qiniu_s() {
    let emulator = start().await;
    let verify = format!("POST {VERIFY}");
    let good = signed(emulator.address, VERIFY, "", b"{}");
    emulator.handle.set_scenario(Scenario::Busy);
    for (line, headers, status) in [
        (verify.as_str(), good.clone(), 503),
        (&verify, good.replace("Qiniu ", "QBox "), 401),
        ("POST /v2/actionliveness/other", good.clone(), 404),
        (&format!("PUT {VERIFY}"), good.clone(), 405),
    ] {
        let answer = emulator.send(line, &headers, b"{}").await;
        assert_eq!(answer.status, status);
        let error = answer.json();
        assert!(
            error["error"].as_str().is_some_and(|text| !text.is_empty()),
            "{error}"
        );
        assert!(
            error.get("error_code").is_none_or(|name| name.is_string()),
            "{error}"
        );
        assert!(answer.head.contains("\r\nx-reqid: "), "{}", answer.head);
    }
    // Nothing was looked at, so nothing is billed, and only verifies are refused.
    assert_eq!(emulator.handle.billed_calls(), 0);
    assert_eq!(emulator.call(SESSION, &json!({})).await.code(), 0);
}
