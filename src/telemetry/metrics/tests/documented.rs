//! Compares the tables of `docs/metrics.md` with the exposition: names, types, labels, and the
//! values of labels whose sets are closed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    grammar::{ReadFamily, read},
    prepared,
};
use crate::telemetry::metrics::TextFormat;

const PAGE: &str = include_str!("../../../../docs/metrics.md");

/// Labels whose values come from the configuration, from a response or from Qiniu.
const OPEN_LABELS: [&str; 8] = [
    "route",
    "status",
    "code",
    "error_code",
    "issuer",
    "file",
    "version",
    "le",
];

fn exposed() -> Vec<ReadFamily> {
    let format = TextFormat::Prometheus;
    read(&prepared().encode(format), format)
}

/// The cells of a section's first table, without its head.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split(&format!("\n{heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no section {heading}"));
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect());
    let rows: Vec<Vec<_>> = cells.collect();
    assert!(rows.len() > 3, "{heading} has a table");
    rows
}

/// The code spans of a cell.
fn spans(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_table_of_metrics_has_each_family_with_its_type_and_labels() {
    let documented: BTreeSet<(String, String, BTreeSet<String>)> = rows("## Metric families")
        .iter()
        .map(|row| {
            let labels = spans(row[2]).into_iter().map(str::to_owned).collect();
            let name = spans(row[0])[0];
            let prefix = match name.starts_with("process_") {
                true => "",
                false => "liveness_gateway_",
            };
            (format!("{prefix}{name}"), row[1].to_owned(), labels)
        })
        .collect();
    let exposed: BTreeSet<_> = exposed()
        .into_iter()
        .map(|family| {
            let labels = family.samples.iter().flat_map(|sample| &sample.labels);
            let labels = labels.map(|(name, _)| name.clone());
            let labels = labels.filter(|name| name != "le").collect();
            (family.name, family.kind, labels)
        })
        .collect();
    let (missing, wrong) = (&exposed - &documented, &documented - &exposed);
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "docs/metrics.md lacks {missing:#?}\nand no metric is {wrong:#?}"
    );
}

#[test]
fn the_values_of_closed_labels_are_those_that_stand_at_zero_from_the_start() {
    let mut documented: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for row in rows("## Values of labels") {
        let values: BTreeSet<String> = spans(row[1]).into_iter().map(str::to_owned).collect();
        let [label, families @ ..] = &spans(row[0])[..] else {
            panic!("{row:?}");
        };
        for family in families {
            let key = (format!("liveness_gateway_{family}"), (*label).to_owned());
            documented.insert(key, values.clone());
        }
    }
    let mut exposed_values: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for family in exposed() {
        for (label, value) in family.samples.iter().flat_map(|sample| &sample.labels) {
            // An issuer is a peer of the configuration.
            if !OPEN_LABELS.contains(&label.as_str()) && !value.starts_with("https://") {
                let key = (family.name.clone(), label.clone());
                exposed_values.entry(key).or_default().insert(value.clone());
            }
        }
        let counts = family.kind == "counter" && family.name.starts_with("liveness_gateway_");
        let is_zero = family.samples.iter().all(|sample| sample.value == 0.0);
        assert!(!counts || is_zero, "{family:?}");
    }
    assert_eq!(documented, exposed_values);
}
