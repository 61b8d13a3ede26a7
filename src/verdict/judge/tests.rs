//! Which responses pass, and that no others do.

use proptest::{prelude::*, string::string_regex};

use super::*;

const RULE: PassRule = PassRule {
    threshold: ScoreThreshold::Frr1e3,
    max_spoofing: 0.5,
};

fn number(text: &str) -> CapturedValue {
    CapturedValue::Number(text.into())
}

fn string(text: &str) -> CapturedValue {
    CapturedValue::String(text.into())
}

fn good() -> LivenessScores {
    LivenessScores {
        error_code: number("0"),
        serverlogid: number("587756642"),
        action_verify: string("pass"),
        score: number("0.9600000000000001"),
        threshold: number("0.3"),
        maxspoofing: number("4.1e-4"),
    }
}

/// Judges a good response with this change.
fn passes(rule: &PassRule, change: impl FnOnce(&mut LivenessScores)) -> bool {
    let mut scores = good();
    change(&mut scores);
    judge(&scores, rule).passed
}

#[test]
fn numbers_are_copied_as_written() {
    let judgement = judge(&good(), &RULE);
    assert!(judgement.passed);
    let shown = |text: &Option<Box<RawValue>>| text.as_ref().unwrap().get().to_owned();
    assert_eq!(
        [
            shown(&judgement.score),
            shown(&judgement.threshold_value),
            shown(&judgement.maxspoofing)
        ],
        ["0.9600000000000001", "0.3", "4.1e-4"]
    );
    assert_eq!(judgement.action_verify, Some("pass"));
    assert_eq!(judgement.serverlogid.as_deref(), Some("587756642"));
    let mut scores = good();
    scores.serverlogid = string("0587756642");
    assert_eq!(
        judge(&scores, &RULE).serverlogid.as_deref(),
        Some("0587756642")
    );
}

#[test]
fn the_score_must_be_strictly_above_the_threshold() {
    for (score, passed) in [
        ("0.3", false),
        ("0.30", false),
        ("3e-1", false),
        ("0.30000000000000001", false),
        ("0.30000000000000004", true),
        ("0.29999999999999999", false),
        ("1", true),
        ("0", false),
        ("-0", false),
    ] {
        assert_eq!(
            passes(&RULE, |scores| scores.score = number(score)),
            passed,
            "{score}"
        );
    }
}

#[test]
fn spoofing_up_to_the_limit_passes_and_a_limit_of_one_disables_the_check() {
    for (spoofing, passed) in [("0.5", true), ("0.50000000000000011", false), ("0", true)] {
        assert_eq!(
            passes(&RULE, |scores| scores.maxspoofing = number(spoofing)),
            passed,
            "{spoofing}"
        );
    }
    let any = PassRule {
        max_spoofing: ANY_SPOOFING,
        ..RULE
    };
    for spoofing in [CapturedValue::Absent, number("1"), number("7"), string("x")] {
        assert!(passes(&any, |scores| scores.maxspoofing = spoofing));
    }
    let none = PassRule {
        max_spoofing: 0.0,
        ..RULE
    };
    assert!(passes(&none, |scores| scores.maxspoofing = number("0.0")));
    assert!(!passes(&none, |scores| scores.maxspoofing = number("5e-324")));
}

/// Values that are no number from 0 to 1.
fn unfit() -> Vec<CapturedValue> {
    let mut values = vec![
        CapturedValue::Absent,
        CapturedValue::Null,
        CapturedValue::Bool(true),
        CapturedValue::Container,
        CapturedValue::TooLong,
        CapturedValue::Streamed,
        string("0.9"),
        string("1"),
        string(""),
    ];
    for text in [
        "1.0000000000000002",
        "-0.1",
        "2",
        "1e400",
        "-1e400",
        "nan",
        "NaN",
        "inf",
        "infinity",
        "",
        "0x1",
        "+1",
        ".9",
        "1.",
        "01",
        "0.9 ",
        "0,9",
        "\u{661}",
    ] {
        values.push(number(text));
    }
    values
}

#[test]
fn an_unfit_value_never_passes_and_is_not_copied() {
    for value in unfit() {
        assert!(
            !passes(&RULE, |scores| scores.score = value.clone()),
            "score {value:?}"
        );
        assert!(
            !passes(&RULE, |scores| scores.threshold = value.clone()),
            "threshold {value:?}"
        );
        assert!(
            !passes(&RULE, |scores| scores.maxspoofing = value.clone()),
            "maxspoofing {value:?}"
        );
        let judgement = judge(
            &LivenessScores {
                score: value.clone(),
                threshold: value.clone(),
                maxspoofing: value.clone(),
                ..good()
            },
            &RULE,
        );
        assert!(
            judgement.score.is_none()
                && judgement.threshold_value.is_none()
                && judgement.maxspoofing.is_none(),
            "{value:?}"
        );
    }
}

#[test]
fn only_the_number_zero_and_the_text_pass_are_a_success() {
    for value in [
        CapturedValue::Absent,
        CapturedValue::Null,
        CapturedValue::Bool(false),
        string("0"),
        number("1"),
        number("216501"),
        number("-0"),
        number("0.0"),
        number("0e0"),
        number("00"),
    ] {
        assert!(
            !passes(&RULE, |scores| scores.error_code = value.clone()),
            "{value:?}"
        );
    }
    for value in [
        CapturedValue::Absent,
        CapturedValue::Null,
        CapturedValue::Bool(true),
        CapturedValue::Container,
        number("1"),
        string("PASS"),
        string("pass "),
        string("passed"),
        string("fail"),
        string(""),
    ] {
        let fails = value == string("fail");
        let mut scores = good();
        scores.action_verify = value.clone();
        let judgement = judge(&scores, &RULE);
        assert!(!judgement.passed, "{value:?}");
        assert_eq!(judgement.action_verify, fails.then_some("fail"));
    }
}

#[test]
fn a_log_id_of_another_type_is_left_out() {
    for value in [
        CapturedValue::Absent,
        CapturedValue::Null,
        CapturedValue::Container,
        number(&"1".repeat(65)),
        string(&"1".repeat(65)),
    ] {
        let mut scores = good();
        scores.serverlogid = value;
        let judgement = judge(&scores, &RULE);
        assert!(judgement.passed && judgement.serverlogid.is_none());
    }
}

fn any_value() -> impl Strategy<Value = CapturedValue> {
    // Compiled here. A pattern that is a strategy itself is compiled for each value.
    let text = |pattern| string_regex(pattern).unwrap();
    prop_oneof![
        Just(CapturedValue::Absent),
        Just(CapturedValue::Null),
        Just(CapturedValue::Container),
        Just(CapturedValue::TooLong),
        any::<bool>().prop_map(CapturedValue::Bool),
        text("\\PC{0,6}").prop_map(CapturedValue::String),
        text("(pass|fail|0|0\\.9)").prop_map(CapturedValue::String),
        text("\\PC{0,6}").prop_map(CapturedValue::Number),
        text("-?[0-9]{1,3}(\\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?").prop_map(CapturedValue::Number),
        (0.0..=1.0).prop_map(|share: f64| CapturedValue::Number(share.to_string())),
        Just(CapturedValue::Number("0".into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    /// Whatever the input, a pass has every member that the rule requires, each in its range.
    #[test]
    fn a_pass_has_every_required_member(
        error_code in any_value(), serverlogid in any_value(), action_verify in any_value(),
        score in any_value(), threshold in any_value(), maxspoofing in any_value(),
        fill in 0_u8..64, max_spoofing in prop_oneof![Just(1.0), 0.0..1.0],
    ) {
        let mut scores = LivenessScores {
            error_code, serverlogid, action_verify, score, threshold, maxspoofing,
        };
        // Most members are good most of the time; otherwise no input would come close to a pass.
        let fine = good();
        if fill & 1 > 0 { scores.error_code = fine.error_code; }
        if fill & 2 > 0 { scores.action_verify = fine.action_verify; }
        if fill & 4 > 0 { scores.score = fine.score; }
        if fill & 8 > 0 { scores.threshold = fine.threshold; }
        if fill & 16 > 0 { scores.maxspoofing = fine.maxspoofing; }
        let rule = PassRule { threshold: ScoreThreshold::Frr1e2, max_spoofing };
        let judgement = judge(&scores, &rule);
        if judgement.passed {
            let read = |value: &CapturedValue| match value {
                CapturedValue::Number(text) => serde_json::from_str::<f64>(text).unwrap(),
                other => panic!("{other:?} counted as a number"),
            };
            prop_assert_eq!(&scores.error_code, &CapturedValue::Number("0".into()));
            prop_assert_eq!(&scores.action_verify, &CapturedValue::String("pass".into()));
            // This parser may differ from ours in the last bit.
            prop_assert!(read(&scores.score) - read(&scores.threshold) > -1e-15);
            prop_assert!((0.0..=1.0).contains(&read(&scores.score)));
            prop_assert!((0.0..=1.0).contains(&read(&scores.threshold)));
            if max_spoofing < 1.0 {
                prop_assert!(read(&scores.maxspoofing) <= max_spoofing + 1e-15);
            }
            prop_assert!(judgement.score.is_some() && judgement.threshold_value.is_some());
        }
    }

    /// A passing response fails when any one required member is removed.
    #[test]
    fn a_missing_member_never_passes(which in 0..5_usize, value in any_value()) {
        let mut scores = good();
        let member = match which {
            0 => &mut scores.error_code,
            1 => &mut scores.action_verify,
            2 => &mut scores.score,
            3 => &mut scores.threshold,
            _ => &mut scores.maxspoofing,
        };
        let number = matches!(value, CapturedValue::Number(_));
        *member = value.clone();
        if which == 1 && value == CapturedValue::String("pass".into()) {
            return Ok(());
        }
        if which == 1 || !number {
            prop_assert!(!judge(&scores, &RULE).passed);
        }
    }
}
