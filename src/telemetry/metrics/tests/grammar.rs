//! A strict reader of both text formats, written from their specifications, that shares nothing
//! with the writer.
//!
//! Panics at the first line that breaks a rule. Also checks what linters of metrics complain of:
//! names, units, types, and histograms that contradict themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::telemetry::metrics::TextFormat;

/// A family with its samples.
#[derive(Debug)]
pub(super) struct ReadFamily {
    /// The name of its samples, with `_total`, without `_bucket` and the like.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) samples: Vec<ReadSample>,
}

#[derive(Debug)]
pub(super) struct ReadSample {
    /// What follows the name of the family.
    pub(super) suffix: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    pub(super) exemplar: Option<String>,
}

impl ReadSample {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads a document.
pub(super) fn read(text: &str, format: TextFormat) -> Vec<ReadFamily> {
    let open_metrics = format == TextFormat::OpenMetrics;
    let body = match open_metrics {
        true => text.strip_suffix("# EOF\n").expect("ends with # EOF"),
        false => text,
    };
    assert!(body.ends_with('\n') && !body.contains("# EOF") && !body.contains('\r'));
    let mut families: Vec<ReadFamily> = Vec::new();
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = metadata(line, "HELP");
        assert!(!help.is_empty() && !help.contains(['\\', '"']), "{line}");
        let (typed, kind) = metadata(lines.next().unwrap(), "TYPE");
        assert_eq!(name, typed);
        let unit = lines.next_if(|line| line.starts_with("# UNIT "));
        assert!(unit.is_none() || open_metrics, "{unit:?}");
        if let Some((named, unit)) = unit.map(|line| metadata(line, "UNIT")) {
            assert!(
                named == name && name.ends_with(&format!("_{unit}")),
                "{name}"
            );
        }
        let name = sample_name(name, kind, open_metrics);
        let mut family = ReadFamily {
            name,
            kind: kind.to_owned(),
            samples: Vec::new(),
        };
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let sample = sample(line, &family, open_metrics);
            family.samples.push(sample);
        }
        check(&family);
        assert!(
            families.iter().all(|known| known.name != family.name),
            "{family:?}"
        );
        families.push(family);
    }
    families
}

fn metadata<'a>(line: &'a str, keyword: &str) -> (&'a str, &'a str) {
    let rest = line.strip_prefix(&format!("# {keyword} "));
    let rest = rest.unwrap_or_else(|| panic!("a line `# {keyword}`, not {line}"));
    rest.split_once(' ').unwrap_or_else(|| panic!("{line}"))
}

/// The name of the samples of a family that is declared by this name.
fn sample_name(name: &str, kind: &str, open_metrics: bool) -> String {
    let ours = |part: char| part.is_ascii_lowercase() || part == '_';
    assert!(name.chars().all(ours), "{name}");
    assert!(
        name.starts_with("liveness_gateway_") || name.starts_with("process_"),
        "{name}"
    );
    let has_total = name.ends_with("_total");
    match (kind, open_metrics) {
        ("counter", true) => {
            assert!(!has_total, "{name}");
            format!("{name}_total")
        }
        ("counter", false) => {
            assert!(has_total, "{name}");
            name.to_owned()
        }
        ("gauge" | "histogram", _) => {
            let reserved = ["_total", "_count", "_sum", "_bucket", "_created"];
            assert!(
                !reserved.iter().any(|suffix| name.ends_with(suffix)),
                "{name}"
            );
            name.to_owned()
        }
        _ => panic!("{name} has the type {kind}"),
    }
}

fn sample(line: &str, family: &ReadFamily, open_metrics: bool) -> ReadSample {
    let (line, exemplar) = match line.split_once(" # ") {
        Some((line, exemplar)) if open_metrics => (line, Some(exemplar.to_owned())),
        _ => (line, None),
    };
    let rest = line.strip_prefix(family.name.as_str());
    let rest = rest.unwrap_or_else(|| panic!("{line} stands in {}", family.name));
    let (suffix, labels, value) = match rest.split_once('{') {
        Some((suffix, rest)) => {
            let (labels, value) = labels(rest, line);
            (suffix, labels, value)
        }
        None => {
            let (suffix, value) = rest.split_once(' ').unwrap();
            (suffix, Vec::new(), value)
        }
    };
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
    ReadSample {
        suffix: suffix.to_owned(),
        labels,
        value,
        exemplar,
    }
}

/// Reads labels behind their opening brace, and returns what follows the closing one and a blank.
fn labels<'a>(text: &'a str, line: &str) -> (Vec<(String, String)>, &'a str) {
    let (mut labels, mut rest) = (Vec::new(), text);
    loop {
        let (name, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        let word = |part: char| part.is_ascii_lowercase() || part == '_';
        assert!(
            name.chars().all(word) && !name.is_empty() && !name.starts_with("__"),
            "{line}"
        );
        let (mut value, mut characters) = (String::new(), behind.chars());
        loop {
            match characters.next().unwrap_or_else(|| panic!("{line}")) {
                '"' => break,
                '\\' => value.push(match characters.next() {
                    Some('n') => '\n',
                    Some(escaped @ ('\\' | '"')) => escaped,
                    _ => panic!("{line}"),
                }),
                plain => value.push(plain),
            }
        }
        assert!(labels.iter().all(|(known, _)| known != name), "{line}");
        labels.push((name.to_owned(), value));
        rest = characters.as_str();
        match rest.split_at_checked(1) {
            Some((",", behind)) => rest = behind,
            Some(("}", behind)) => return (labels, behind.strip_prefix(' ').unwrap()),
            _ => panic!("{line}"),
        }
    }
}

fn check(family: &ReadFamily) {
    let mut series = BTreeSet::new();
    for sample in &family.samples {
        let name = (sample.suffix.clone(), sample.labels.clone());
        assert!(series.insert(name), "twice: {sample:?}");
        assert!(sample.value.is_finite(), "{sample:?}");
        let suffixes: &[&str] = match family.kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(
            suffixes.contains(&sample.suffix.as_str()),
            "{sample:?} of {}",
            family.name
        );
        assert!(family.kind == "gauge" || sample.value >= 0.0, "{sample:?}");
        assert!(
            sample.exemplar.is_none() || sample.suffix == "_bucket",
            "{sample:?}"
        );
        assert_eq!(
            sample.label("le").is_some(),
            sample.suffix == "_bucket",
            "{sample:?}"
        );
    }
    assert!(!family.samples.is_empty(), "{} has no sample", family.name);
    if family.kind == "histogram" {
        check_histogram(family);
    }
}

/// For each set of labels: bounds that grow, numbers that never shrink, and a last bucket that has
/// everything.
fn check_histogram(family: &ReadFamily) {
    let mut histograms: BTreeMap<Vec<(String, String)>, Vec<&ReadSample>> = BTreeMap::new();
    for sample in &family.samples {
        let labels = sample.labels.iter().filter(|(name, _)| name != "le");
        histograms
            .entry(labels.cloned().collect())
            .or_default()
            .push(sample);
    }
    for (labels, samples) in histograms {
        let (mut bound, mut number) = (f64::NEG_INFINITY, 0.0);
        let [buckets @ .., sum, count] = &samples[..] else {
            panic!("{labels:?} of {}", family.name);
        };
        assert_eq!(
            (sum.suffix.as_str(), count.suffix.as_str()),
            ("_sum", "_count")
        );
        for bucket in buckets {
            let label = bucket.label("le").unwrap();
            let next: f64 = label
                .trim_start_matches('+')
                .to_lowercase()
                .parse()
                .unwrap();
            // A canonical number, so that the bucket has one name in all formats.
            assert!(label == "+Inf" || format!("{next:?}") == label, "{label}");
            assert!(next > bound && bucket.value >= number, "{bucket:?}");
            (bound, number) = (next, bucket.value);
            if let Some(exemplar) = &bucket.exemplar {
                check_exemplar(exemplar, bound);
            }
        }
        assert!(bound.is_infinite() && number == count.value, "{labels:?}");
    }
}

/// `{trace_id="…"} value time`, of which the labels have at most 128 characters.
fn check_exemplar(exemplar: &str, bound: f64) {
    let (labels, rest) = labels(exemplar.strip_prefix('{').unwrap(), exemplar);
    let length: usize = labels
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(length <= 128, "{exemplar}");
    let (value, time) = rest.split_once(' ').unwrap();
    assert!(value.parse::<f64>().unwrap() <= bound, "{exemplar}");
    assert!(time.parse::<f64>().unwrap() > 1.7e9, "{exemplar}");
}
