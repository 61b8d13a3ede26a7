//! Writes answers as Qiniu does: the same fields in the same order, integers among the floats, and
//! pictures that make a judged verify weigh about 900 KB.
//!
//! The pictures are drawn, not photographed, and made once ([`Album::new`]). An error has no `result`.

use std::{fmt::Write as _, sync::Arc};

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use super::{codes, jpeg, scenario::Scenario, sessions::Issued};

/// Pictures in `pic_list`.
const PICTURES: usize = 8;
/// The picture of `pic_list` that is also `best_image`.
const BEST: usize = 2;
/// Bytes of an answer at the most, to reserve them at once.
const ANSWER_BYTES: usize = 1_000_000;

/// Which blocks `face_field` asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) spoofing: bool,
    pub(super) quality: bool,
}

/// The random part of an answer, drawn by the caller.
#[derive(Clone, Copy)]
pub(super) struct Serial {
    /// `serverlogid`.
    pub(super) log_id: u32,
    /// Makes the face tokens differ from answer to answer.
    pub(super) face: [u8; 15],
}

/// The pictures, as base64.
pub(super) struct Album(Arc<[String]>);

impl Album {
    /// Draws all pictures; takes some 10 ms.
    pub(super) fn new() -> Self {
        let pictures = (0..PICTURES).map(|index| {
            // A little heavier each, so that no two answers' pictures can be mixed up by size.
            let strength = STRENGTH + index as f32;
            BASE64.encode(&jpeg::picture(
                0x9e37_79b9_u32.wrapping_mul(index as u32 + 1),
                strength,
            ))
        });
        Self(pictures.collect())
    }

    /// The `result` of a judged verify, in the envelope.
    pub(super) fn verified(&self, scenario: Scenario, wanted: Wanted, serial: Serial) -> Vec<u8> {
        let judged = match scenario {
            Scenario::Pass => Judged {
                score: 0.9713,
                action: "pass",
                spoofing: 0.00041,
            },
            Scenario::ActionFail => Judged {
                score: 0.9402,
                action: "fail",
                spoofing: 0.00063,
            },
            Scenario::LowScore => Judged {
                score: 0.0213,
                action: "pass",
                spoofing: 0.0872,
            },
            Scenario::Spoof => Judged {
                score: 0.9581,
                action: "pass",
                spoofing: 0.9934,
            },
            Scenario::Error(code) => return error(code, serial),
        };
        let mut out = String::with_capacity(ANSWER_BYTES);
        envelope(&mut out, serial);
        append(
            &mut out,
            format_args!(",\"result\":{{\"score\":{}", judged.score),
        );
        if wanted.spoofing {
            append(
                &mut out,
                format_args!(
                    ",\"maxspoofing\":{},\"spoofing_score\":{}",
                    judged.spoofing,
                    judged.spoofing * MEDIAN_SHARE
                ),
            );
        }
        append(
            &mut out,
            format_args!(",\"action_verify\":\"{}\"", judged.action),
        );
        out.push_str(
            ",\"thresholds\":{\"frr_1e-4\":0.05,\"frr_1e-3\":0.3,\"frr_1e-2\":0.9},\"best_image\":",
        );
        if let Some(best) = self.0.get(BEST) {
            image(&mut out, BEST, best, &judged, wanted, serial);
        }
        out.push_str(",\"pic_list\":[");
        for (index, picture) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            image(&mut out, index, picture, &judged, wanted, serial);
        }
        out.push_str("]}}");
        out.into_bytes()
    }
}

/// Noise of the lightest picture, grey levels: the knob for the size of an answer.
const STRENGTH: f32 = 46.0;
/// A picture's synthetic-image score falls by this much of the highest from one to the next ...
const SHARE_STEP: f64 = 0.06;
/// ... so this is the median of eight.
const MEDIAN_SHARE: f64 = 1.0 - 3.5 * SHARE_STEP;

struct Judged {
    score: f64,
    action: &'static str,
    /// The highest synthetic-image score.
    spoofing: f64,
}

/// An answer without a result.
pub(super) fn error(code: u32, serial: Serial) -> Vec<u8> {
    let message = codes::message(code);
    let log_id = serial.log_id;
    format!("{{\"error_code\":{code},\"error_msg\":\"{message}\",\"serverlogid\":{log_id}}}")
        .into_bytes()
}

/// The answer of `sessioncode`.
pub(super) fn session(issued: &Issued, serial: Serial) -> Vec<u8> {
    let mut out = String::new();
    envelope(&mut out, serial);
    let (id, code) = (&issued.session_id, &issued.code);
    append(
        &mut out,
        format_args!(",\"result\":{{\"session_id\":\"{id}\",\"code\":\"{code}\"}}}}"),
    );
    out.into_bytes()
}

fn envelope(out: &mut String, serial: Serial) {
    append(
        out,
        format_args!(
            "{{\"error_code\":0,\"error_msg\":\"SUCCESS\",\"serverlogid\":{}",
            serial.log_id
        ),
    );
}

fn image(
    out: &mut String,
    index: usize,
    picture: &str,
    judged: &Judged,
    wanted: Wanted,
    serial: Serial,
) {
    let mut token = serial.face.to_vec();
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
        let share = 1.0 - SHARE_STEP * index as f64;
        append(
            out,
            format_args!(",\"spoofing\":{}", judged.spoofing * share),
        );
    }
    if wanted.quality {
        append(out, format_args!(",\"quality\":{}", quality(index)));
    }
    out.push('}');
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

    const SERIAL: Serial = Serial {
        log_id: u32::MAX,
        face: [7; 15],
    };

    fn answer(scenario: Scenario, wanted: Wanted) -> Value {
        serde_json::from_slice(&Album::new().verified(scenario, wanted, SERIAL)).unwrap()
    }

    #[test]
    fn an_answer_weighs_about_900_kilobytes() {
        let everything = Wanted {
            spoofing: true,
            quality: true,
        };
        for wanted in [Wanted::default(), everything] {
            let bytes = Album::new().verified(Scenario::Pass, wanted, SERIAL).len();
            assert!((850_000..=950_000).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn pictures_are_base64_of_distinct_jpegs() {
        let answer = answer(Scenario::Pass, Wanted::default());
        let pictures = answer["result"]["pic_list"].as_array().unwrap();
        assert_eq!(pictures.len(), PICTURES);
        let decoded: std::collections::HashSet<Vec<u8>> = pictures
            .iter()
            .map(|image| {
                BASE64
                    .decode(image["pic"].as_str().unwrap().as_bytes())
                    .unwrap()
            })
            .collect();
        assert_eq!(decoded.len(), PICTURES);
        assert!(
            decoded
                .iter()
                .all(|jpeg| jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]))
        );
        assert_eq!(answer["result"]["best_image"], pictures[BEST]);
    }

    #[test]
    fn blocks_come_only_when_asked_for() {
        let plain = answer(Scenario::Pass, Wanted::default());
        let full = answer(
            Scenario::Pass,
            Wanted {
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
    fn each_scenario_shows() {
        let spoofing = Wanted {
            spoofing: true,
            quality: false,
        };
        let score = |value: &Value| value["result"]["score"].as_f64().unwrap();
        let pass = answer(Scenario::Pass, spoofing);
        assert!(score(&pass) > 0.9 && pass["result"]["maxspoofing"].as_f64().unwrap() < 0.05);
        assert_eq!(pass["serverlogid"], u32::MAX);
        let failed = answer(Scenario::ActionFail, spoofing);
        assert!(score(&failed) > 0.9 && failed["result"]["action_verify"] == "fail");
        let low = answer(Scenario::LowScore, spoofing);
        assert!(score(&low) < 0.05 && low["result"]["action_verify"] == "pass");
        let fake = answer(Scenario::Spoof, spoofing);
        assert!(fake["result"]["maxspoofing"].as_f64().unwrap() > 0.9);
        let error = answer(Scenario::Error(216_501), spoofing);
        assert_eq!(
            error,
            json!({"error_code": 216_501, "error_msg": "not found face", "serverlogid": u32::MAX})
        );
    }
}
