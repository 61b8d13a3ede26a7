//! What is captured from a response, and what remains of it.

use proptest::prelude::*;

use super::*;
use crate::{
    json::{CutError, sink::BufferSink},
    verdict::judge::{PassRule, ScoreThreshold, judge},
};

const RESPONSE: &str = concat!(
    r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":587756642,"#,
    r#""result":{"score":0.9600000000000001,"maxspoofing":4.1e-4,"spoofing_score":0.1,"#,
    r#""action_verify":"pass","thresholds":{"frr_1e-4":0.05,"frr_1e-3":0.3,"frr_1e-2":0.9},"#,
    r#""best_image":{"pic":"AAAA","liveness_score":1},"#,
    r#""pic_list":[{"pic":"AAAA","face_token":"t"}]},"#,
    r#""verdict":"theirs"}"#
);

fn paths(texts: &[&str]) -> Vec<MemberPath> {
    let paths = texts.iter().map(|text| MemberPath::parse(text).unwrap());
    paths.collect()
}

fn rules(remove: &[&str]) -> ResponseRules {
    ResponseRules::new(&paths(remove), Some(4096), ExpectedResponse::Envelope)
}

/// What remains of the response, and its scores, when it arrives in pieces of `piece` bytes.
fn cut(
    rules: &ResponseRules,
    text: &str,
    piece: usize,
) -> Result<(String, LivenessScores), CutError> {
    let mut cut = JsonCut::new(&rules.rules);
    let mut kept = BufferSink::default();
    for chunk in text.as_bytes().chunks(piece) {
        cut.feed(chunk, &mut kept)?;
    }
    let values = cut.finish()?;
    let scores = rules.scores.as_ref().map(|slots| slots.read(&values));
    let kept = String::from_utf8(kept.into_bytes()).unwrap();
    Ok((kept, scores.unwrap_or_default()))
}

fn scores() -> LivenessScores {
    let number = |text: &str| CapturedValue::Number(text.into());
    LivenessScores {
        error_code: number("0"),
        serverlogid: number("587756642"),
        action_verify: CapturedValue::String("pass".into()),
        score: number("0.9600000000000001"),
        threshold: number("0.3"),
        maxspoofing: number("4.1e-4"),
    }
}

#[test]
fn scores_are_captured_as_written_however_the_response_is_split() {
    let rules = rules(&["result.best_image.pic", "result.pic_list[].pic"]).judged("frr_1e-3");
    for piece in [1, 2, 3, 7, 64, 4096] {
        let (kept, found) = cut(&rules, RESPONSE, piece).unwrap();
        assert_eq!(found, scores());
        assert!(!kept.contains("AAAA") && !kept.contains("theirs"), "{kept}");
        assert!(
            kept.contains(r#""score":0.9600000000000001,"#) && kept.contains("face_token"),
            "{kept}"
        );
    }
}

#[test]
fn removed_members_are_judged_nevertheless() {
    for removed in ["result", "result.thresholds", "result.score"] {
        let rules = rules(&[removed]).judged("frr_1e-3");
        let (kept, found) = cut(&rules, RESPONSE, 7).unwrap();
        assert_eq!(found, scores(), "{removed}");
        assert!(serde_json::from_str::<serde_json::Value>(&kept).is_ok());
    }
}

#[test]
fn fields_that_are_not_allowed_are_judged_nevertheless() {
    let fields = paths(&[
        "error_code",
        "result.thresholds.frr_1e-4",
        "result.score.x",
        "verdict",
    ]);
    for rules in [
        rules(&[]).allowing(Some(&fields), false).judged("frr_1e-3"),
        rules(&[]).judged("frr_1e-3").allowing(Some(&fields), false),
    ] {
        for piece in [1, 5, 4096] {
            let (kept, found) = cut(&rules, RESPONSE, piece).unwrap();
            assert_eq!(found, scores());
            let wanted = r#"{"error_code":0,"result":{"thresholds":{"frr_1e-4":0.05}}}"#;
            assert_eq!(kept, wanted);
        }
    }
}

#[test]
fn of_two_lists_what_both_allow_is_common() {
    let some = paths(&["a", "b.c", "d[]", "e"]);
    let others = paths(&["a.x", "b", "d[].y", "f"]);
    assert_eq!(common(&some, &others), paths(&["a.x", "b.c", "d[].y"]));
}

#[test]
fn hidden_scores_leave_the_envelope_and_whether_the_actions_were_recognized() {
    let pictures = ["result.best_image.pic", "result.pic_list[].pic"];
    let fields = paths(&["error_code", "error_msg", "serverlogid", "result", "new"]);
    for rules in [
        rules(&pictures).judged("frr_1e-3").allowing(None, true),
        rules(&pictures).allowing(None, true).judged("frr_1e-3"),
        rules(&pictures)
            .allowing(Some(&fields), true)
            .judged("frr_1e-3"),
        rules(&[]).allowing(None, true),
    ] {
        for piece in [1, 5, 4096] {
            let (kept, found) = cut(&rules, RESPONSE, piece).unwrap();
            assert_eq!(
                kept,
                concat!(
                    r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":587756642,"#,
                    r#""result":{"action_verify":"pass"}}"#
                )
            );
            if rules.scores.is_some() {
                assert_eq!(found, scores());
            }
        }
    }
    // An error of Qiniu's keeps its shape.
    let refusal =
        r#"{"error_code":216501,"error_msg":"not found face","serverlogid":"7","result":null}"#;
    let (kept, _) = cut(&rules(&[]).allowing(None, true), refusal, 9).unwrap();
    assert_eq!(kept, refusal);
}

#[test]
fn a_duplicate_of_a_judged_member_makes_the_response_invalid() {
    let rules = rules(&[]).judged("frr_1e-3");
    for (part, twice) in [
        (r#""error_code":0"#, r#""error_code":1,"error_code":0"#),
        (r#""score":0.96"#, r#""score":0.1,"score":0.96"#),
        (r#""score":0.96"#, r#""sc\u006fre":0.1,"score":0.96"#),
        (
            r#""action_verify":"pass""#,
            r#""action_verify":"fail","action_verify":"pass""#,
        ),
        (r#""maxspoofing":4"#, r#""maxspoofing":1,"maxspoofing":4"#),
        (r#""frr_1e-3":0.3"#, r#""frr_1e-3":0.9,"frr_1e-3":0.3"#),
        (
            r#""thresholds":{"#,
            r#""thresholds":{"frr_1e-3":0.9},"thresholds":{"#,
        ),
        (r#""result":{"#, r#""result":{"score":0.1},"result":{"#),
        (r#""verdict":"theirs""#, r#""verdict":"a","verdict":"b""#),
    ] {
        assert!(RESPONSE.contains(part));
        let text = RESPONSE.replacen(part, twice, 1);
        assert_eq!(
            cut(&rules, &text, 4096).err(),
            Some(CutError::DuplicateKey),
            "{twice}"
        );
    }
}

#[test]
fn without_verdicts_no_score_is_captured_or_checked_for_duplicates() {
    let rules = rules(&[]);
    let text = RESPONSE.replacen(r#""frr_1e-3":0.3"#, r#""frr_1e-3":0.9,"frr_1e-3":0.3"#, 1);
    let (kept, _) = cut(&rules, &text, 64).unwrap();
    assert_eq!(kept, text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// A response that lacks a judged member, or has it elsewhere or of another type, is no pass.
    #[test]
    fn a_response_with_a_missing_or_malformed_member_never_passes(
        which in 0..5_usize,
        how in 0..7_usize,
        piece in 1..200_usize,
    ) {
        let members = [
            r#""error_code":0"#,
            r#""score":0.9600000000000001"#,
            r#""action_verify":"pass""#,
            r#""frr_1e-3":0.3"#,
            r#""maxspoofing":4.1e-4"#,
        ];
        let rule = PassRule { threshold: ScoreThreshold::Frr1e3, max_spoofing: 0.5 };
        let rules = rules(&[]).judged(rule.threshold.name());
        let (_, found) = cut(&rules, RESPONSE, piece).unwrap();
        prop_assert!(judge(&found, &rule).passed);
        let member = members[which];
        let (name, value) = member.split_once(':').unwrap();
        let instead = match how {
            0 => r#""other":1"#.to_owned(),
            1 => format!("{name}:null"),
            2 => format!("{name}:[{value}]"),
            3 => format!("{name}:{{\"value\":{value}}}"),
            4 => format!("{name}:\" {}\"", value.trim_matches('"')),
            5 => format!("\"other\":{{{member}}}"),
            _ => format!("{}:{value}", name.to_ascii_uppercase()),
        };
        let text = RESPONSE.replacen(member, &instead, 1);
        prop_assert_ne!(text.as_str(), RESPONSE);
        if let Ok((_, found)) = cut(&rules, &text, piece) {
            prop_assert!(!judge(&found, &rule).passed, "{}", text);
        }
    }
}
