//! Arbitrary scores in a response: one passes only if its digits, compared exactly, are above the
//! threshold.

#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use liveness_gateway::{
    json::sink::CapturedValue,
    qiniu::scores::LivenessScores,
    verdict::judge::{PassRule, ScoreThreshold, judge},
};

// The lines are the score, the threshold, and the synthetic-image score.
fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut number = || CapturedValue::Number(lines.next().unwrap_or_default().to_owned());
    let scores = LivenessScores {
        error_code: CapturedValue::Number("0".into()),
        action_verify: CapturedValue::String("pass".into()),
        score: number(),
        threshold: number(),
        maxspoofing: number(),
        ..LivenessScores::default()
    };
    for max_spoofing in [0.5, 1.0] {
        let rule = PassRule {
            threshold: ScoreThreshold::Frr1e3,
            max_spoofing,
        };
        let judgement = judge(&scores, &rule);
        let values = [
            &judgement.score,
            &judgement.threshold_value,
            &judgement.maxspoofing,
        ];
        let decimals = values.map(|value| value.as_ref().map(|text| Decimal::read(text.get())));
        for decimal in decimals.iter().flatten() {
            assert!(decimal.digits.is_empty() || decimal.point <= 1);
        }
        if judgement.passed {
            let [Some(score), Some(threshold), spoofing] = decimals else {
                panic!("passed without a score or a threshold");
            };
            assert_eq!(score.compare(&threshold), Ordering::Greater);
            assert!(max_spoofing == 1.0 || spoofing.is_some());
        }
    }
});

/// A number from 0 to 1: `0.DIGITS × 10^point`, without zeros at either end.
struct Decimal {
    digits: Vec<u8>,
    point: i128,
}

impl Decimal {
    fn read(text: &str) -> Self {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, "0"),
        };
        let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = [whole, fraction].concat().into_bytes();
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        // An exponent of more digits than this is far beyond any `f64`.
        let (sign, size) = match exponent.strip_prefix('-') {
            Some(size) => (-1, size),
            None => (1, exponent.trim_start_matches('+')),
        };
        let size = size
            .trim_start_matches('0')
            .get(..30)
            .unwrap_or(size.trim_start_matches('0'));
        let exponent = sign * size.parse::<i128>().unwrap_or(0);
        Self {
            point: whole.len() as i128 - zeros as i128 + exponent,
            digits,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .point
                .cmp(&other.point)
                .then(self.digits.cmp(&other.digits)),
        }
    }
}
