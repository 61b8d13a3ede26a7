//! The parts of a request's cost, each compared with the obvious alternative: `cargo bench --bench
//! micro`. `cargo bench --bench micro -- json` runs the comparisons with `json` in their names.
//!
//! On a shared machine, times drift by half within minutes. So the candidates of a comparison take
//! turns (see [`measure`]), and only their ratio is meaningful.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all inputs are made here"
)]
#![allow(clippy::print_stdout, reason = "prints the report")]

mod base64;
mod json;
mod measure;
mod signing;
mod tokens;

use measure::Comparison;

/// Creates the comparisons whose names are wanted.
type Comparisons = fn(&dyn Fn(&str) -> bool) -> Vec<Comparison>;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    println!(
        "{:<26}{:<34}{:>12}{:>11}{:>9}",
        "job", "by", "time", "GB/s", "× ours"
    );
    let comparisons: [Comparisons; 4] = [
        signing::comparisons,
        json::comparisons,
        base64::comparisons,
        tokens::comparisons,
    ];
    for make in comparisons {
        let is_wanted = |name: &str| {
            wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()))
        };
        for comparison in make(&is_wanted) {
            comparison.run();
        }
    }
}
