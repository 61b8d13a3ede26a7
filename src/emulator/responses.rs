//! Writes response bodies as Qiniu does: the same members in the same order, and integers among
//! the floats.
//!
//! A successful verify weighs about 900 KB, nearly all of it pictures. An error has no `result`.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{
    error_code::ErrorCode, pictures::SamplePictures, scenario::Scenario, sessions::IssuedSession,
};

/// Index of the picture of `pic_list` that is also `best_image`.
const BEST: usize = 2;
/// Initial capacity for a response with pictures, in bytes.
const RESPONSE_BYTES: usize = 1_000_000;
/// Size of a piece of a picture in [`tiles`], in bytes: less than `response.max_string`.
const TILE: usize = 900;
/// Each picture's synthetic-image score is lower than the previous one by this share of the highest
/// score ...
const SPOOFING_STEP: f64 = 0.06;
/// ... so this is the median of eight, as a share of the highest.
const SPOOFING_MEDIAN: f64 = 1.0 - 3.5 * SPOOFING_STEP;

/// The optional members that `face_field` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FaceFields {
    pub(super) spoofing: bool,
    pub(super) quality: bool,
}

/// The random parts of a response.
#[derive(Clone, Copy)]
pub(super) struct ResponseIds {
    /// `serverlogid`.
    pub(super) log_id: u32,
    /// Prefix of each `face_token`, different in each response.
    pub(super) face: [u8; 15],
}

/// The scores of a successful verify.
struct SampleScores {
    score: f64,
    action_verify: &'static str,
    /// The highest synthetic-image score.
    spoofing: f64,
}

/// The response body of a verify whose session and video are valid. With `new`, it has members that
/// Qiniu's responses do not have today.
pub(super) fn verify(
    pictures: &SamplePictures,
    scenario: Scenario,
    wanted: FaceFields,
    new: bool,
    ids: ResponseIds,
) -> Vec<u8> {
    let scores = match scenario {
        Scenario::Pass => scores(0.9713, "pass", 0.00041),
        Scenario::ActionFail => scores(0.9402, "fail", 0.00063),
        Scenario::LowScore => scores(0.0213, "pass", 0.0872),
        Scenario::Spoof => scores(0.9581, "pass", 0.9934),
        Scenario::Busy => return error(ErrorCode::BUSY, None, ids),
        Scenario::Error(code) => return error(ErrorCode(code), None, ids),
    };
    let mut out = String::with_capacity(RESPONSE_BYTES);
    envelope(&mut out, ids);
    append(
        &mut out,
        format_args!(",\"result\":{{\"score\":{}", scores.score),
    );
    if wanted.spoofing {
        append(
            &mut out,
            format_args!(
                ",\"maxspoofing\":{},\"spoofing_score\":{}",
                scores.spoofing,
                scores.spoofing * SPOOFING_MEDIAN
            ),
        );
    }
    append(
        &mut out,
        format_args!(",\"action_verify\":\"{}\"", scores.action_verify),
    );
    out.push_str(",\"thresholds\":{\"frr_1e-4\":0.05,\"frr_1e-3\":0.3,\"frr_1e-2\":0.9}");
    out.push_str(",\"best_image\":");
    if let Some(best) = pictures.all().get(BEST) {
        image(&mut out, BEST, best, &scores, wanted, ids);
        close_image(&mut out, best, new);
    }
    out.push_str(",\"pic_list\":[");
    for (index, picture) in pictures.all().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        image(&mut out, index, picture, &scores, wanted, ids);
        close_image(&mut out, picture, new);
    }
    out.push(']');
    if let Some(best) = pictures.all().get(BEST).filter(|_| new) {
        append(
            &mut out,
            format_args!(",\"thumbnail\":{{\"tiles\":{}}}", tiles(best)),
        );
    }
    out.push_str("}}");
    out.into_bytes()
}

/// A response body without a result. A `hint` follows Qiniu's message: `error_msg` is for people.
pub(super) fn error(code: ErrorCode, hint: Option<&str>, ids: ResponseIds) -> Vec<u8> {
    let (number, log_id) = (code.0, ids.log_id);
    let mut message = code.message().to_owned();
    if let Some(hint) = hint {
        append(&mut message, format_args!(" (emulator: {hint})"));
    }
    let message = json!(message);
    format!("{{\"error_code\":{number},\"error_msg\":{message},\"serverlogid\":{log_id}}}")
        .into_bytes()
}

/// The response body of `sessioncode`.
pub(super) fn session(issued: &IssuedSession, ids: ResponseIds) -> Vec<u8> {
    let mut out = String::new();
    envelope(&mut out, ids);
    let (id, code) = (&issued.session_id, &issued.code);
    append(
        &mut out,
        format_args!(",\"result\":{{\"session_id\":\"{id}\",\"code\":\"{code}\"}}}}"),
    );
    out.into_bytes()
}

fn scores(score: f64, action_verify: &'static str, spoofing: f64) -> SampleScores {
    SampleScores {
        score,
        action_verify,
        spoofing,
    }
}

fn envelope(out: &mut String, ids: ResponseIds) {
    append(
        out,
        format_args!(
            "{{\"error_code\":0,\"error_msg\":\"SUCCESS\",\"serverlogid\":{}",
            ids.log_id
        ),
    );
}

fn image(
    out: &mut String,
    index: usize,
    picture: &str,
    scores: &SampleScores,
    wanted: FaceFields,
    ids: ResponseIds,
) {
    let mut token = ids.face.to_vec();
    token.push(index as u8);
    let token = HEXLOWER.encode(&token);
    out.push_str("{\"pic\":\"");
    out.push_str(picture);
    let live = if index == BEST {
        json!(1)
    } else {
        json!(0.9821 - 0.0017 * index as f64)
    };
    append(
        out,
        format_args!(
            "\",\"face_token\":\"{token}\",\"face_id\":\"{token}\",\"liveness_score\":{live}"
        ),
    );
    if wanted.spoofing {
        let share = 1.0 - SPOOFING_STEP * index as f64;
        append(
            out,
            format_args!(",\"spoofing\":{}", scores.spoofing * share),
        );
    }
    if wanted.quality {
        append(out, format_args!(",\"quality\":{}", quality(index)));
    }
}

/// Ends an image, with `new` by its picture once more, whole and in small pieces.
fn close_image(out: &mut String, picture: &str, new: bool) {
    if new {
        append(
            out,
            format_args!(
                ",\"face_crop\":\"{picture}\",\"face_tiles\":{}",
                tiles(picture)
            ),
        );
    }
    out.push('}');
}

/// A picture in pieces that are too short to be recognized as one.
fn tiles(picture: &str) -> Value {
    let tiles = picture.as_bytes().chunks(TILE).map(String::from_utf8_lossy);
    tiles.collect()
}

fn quality(index: usize) -> Value {
    json!({
        "occlusion": {
            "left_eye": 0, "right_eye": 0, "nose": 0, "mouth": 0.01,
            "left_cheek": 0, "right_cheek": 0.02, "chin_contour": 0,
        },
        "blur": 0.003,
        "illumination": 128 + index,
        "completeness": 1,
        "angle": { "yaw": 2.1, "pitch": -3.4, "roll": 0.5 * index as f64 },
    })
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: ResponseIds = ResponseIds {
        log_id: u32::MAX,
        face: [7; 15],
    };

    fn verify(scenario: Scenario, wanted: FaceFields) -> Value {
        serde_json::from_slice(&super::verify(
            &SamplePictures::new(),
            scenario,
            wanted,
            false,
            IDS,
        ))
        .unwrap()
    }

    #[test]
    fn a_verify_response_weighs_about_900_kilobytes() {
        let everything = FaceFields {
            spoofing: true,
            quality: true,
        };
        for wanted in [FaceFields::default(), everything] {
            let response =
                super::verify(&SamplePictures::new(), Scenario::Pass, wanted, false, IDS);
            assert!(
                (850_000..=950_000).contains(&response.len()),
                "{}",
                response.len()
            );
        }
    }

    #[test]
    fn optional_members_are_sent_only_on_request() {
        let plain = verify(Scenario::Pass, FaceFields::default());
        let full = verify(
            Scenario::Pass,
            FaceFields {
                spoofing: true,
                quality: true,
            },
        );
        for field in ["maxspoofing", "spoofing_score"] {
            assert!(plain["result"].get(field).is_none());
            assert!(full["result"][field].is_f64());
        }
        for field in ["spoofing", "quality"] {
            assert!(plain["result"]["pic_list"][0].get(field).is_none());
            assert!(full["result"]["pic_list"][0].get(field).is_some());
            assert!(full["result"]["best_image"].get(field).is_some());
        }
        let occlusion = &full["result"]["best_image"]["quality"]["occlusion"];
        assert!(occlusion["nose"].is_u64() && occlusion["mouth"].is_f64());
    }

    #[test]
    fn new_members_have_pictures_whole_and_in_pieces() {
        let pictures = SamplePictures::new();
        let response = super::verify(&pictures, Scenario::Pass, FaceFields::default(), true, IDS);
        let response: Value = serde_json::from_slice(&response).unwrap();
        let best = &response["result"]["best_image"];
        assert_eq!(best["face_crop"], best["pic"]);
        let tiles = response["result"]["thumbnail"]["tiles"].as_array().unwrap();
        assert!(tiles.len() > 50 && best["face_tiles"].as_array() == Some(tiles));
        assert!(response["result"]["pic_list"][0]["face_tiles"].is_array());
    }

    #[test]
    fn each_scenario_has_its_own_scores() {
        let spoofing = FaceFields {
            spoofing: true,
            quality: false,
        };
        let score = |value: &Value| value["result"]["score"].as_f64().unwrap();
        let pass = verify(Scenario::Pass, spoofing);
        assert!(score(&pass) > 0.9 && pass["result"]["maxspoofing"].as_f64().unwrap() < 0.05);
        assert_eq!(pass["serverlogid"], u32::MAX);
        let failed = verify(Scenario::ActionFail, spoofing);
        assert!(score(&failed) > 0.9 && failed["result"]["action_verify"] == "fail");
        let low = verify(Scenario::LowScore, spoofing);
        assert!(score(&low) < 0.05 && low["result"]["action_verify"] == "pass");
        let fake = verify(Scenario::Spoof, spoofing);
        assert!(fake["result"]["maxspoofing"].as_f64().unwrap() > 0.9);
        let error = verify(Scenario::Error(216_501), spoofing);
        assert_eq!(
            error,
            json!({"error_code": 216_501, "error_msg": "not found face", "serverlogid": u32::MAX})
        );
    }
}
