//! The parts that a request's cost is made of, each beside what one would write instead: `cargo bench --bench micro`.
//!
//! Times on a shared machine drift by half within minutes, so each contest takes turns (see [`measure`]) and the ratio is
//! what counts. `cargo bench --bench micro -- json` runs the contests with `json` in their names.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the inputs are made here"
)]
#![allow(clippy::print_stdout, reason = "the report")]

mod base64;
mod json;
mod measure;
mod signing;
mod tokens;

use measure::Contest;

/// Makes the contests whose names are wanted.
type Make = fn(&dyn Fn(&str) -> bool) -> Vec<Contest>;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    println!(
        "{:<26}{:<34}{:>12}{:>11}{:>9}",
        "job", "by", "time", "GB/s", "× ours"
    );
    let contests: [Make; 4] = [
        signing::contests,
        json::contests,
        base64::contests,
        tokens::contests,
    ];
    for make in contests {
        let is_wanted = |name: &str| {
            wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()))
        };
        for contest in make(&is_wanted) {
            contest.run();
        }
    }
}
