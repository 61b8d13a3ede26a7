//! Shared code of the targets in `fuzz_targets/`.

/// The slow and plain reference for scans and cuts, which the gateway's own tests use, too.
#[path = "../../src/json/tests/reference.rs"]
pub mod reference;

/// The slow and plain reading of forms, which the gateway's own tests use, too.
#[path = "../../src/form_data/tests/reference.rs"]
pub mod form_reference;

/// `form_reference` refers to the limits of the tested reader as `super::form_data`.
use liveness_gateway::form_data;

/// `reference` refers to the tested parser as `super::json`.
use liveness_gateway::json;

/// Splits an input: its first four bytes say in which pieces the rest arrives. Returns the pieces
/// and the rest as a whole.
///
/// Each byte is the size of a piece as a digit; `0` means all that is left, and the last size is
/// repeated. So seeds can be written by hand: `0000{}` arrives at once, `1111{}` byte by byte, and
/// `2300{}` in pieces of two bytes, three bytes, and the rest.
pub fn arrival(data: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let (steps, rest) = data.split_at_checked(4)?;
    let mut steps = steps
        .iter()
        .map(|step| usize::from(step.wrapping_sub(b'0')));
    let (mut parts, mut left, mut step) = (Vec::new(), rest, 0);
    loop {
        step = steps.next().unwrap_or(step);
        if step == 0 || step >= left.len() {
            parts.push(left);
            return Some((parts, rest));
        }
        let (part, behind) = left.split_at(step);
        parts.push(part);
        left = behind;
    }
}
