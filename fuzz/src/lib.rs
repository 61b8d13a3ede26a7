//! What the targets in `fuzz_targets/` share.

/// The slow and plain reading of a document and of a cut, which the gateway's own tests use too.
#[path = "../../src/json/tests/reference.rs"]
pub mod reference;

/// `reference` names the parser it is held against as `super::json`.
use liveness_gateway::json;

/// An input's first four bytes say how the rest arrives; the last of four steps is repeated.
///
/// A step is so many bytes as the digit says, counted from `0`; `0` itself means all that is left. So seeds can be written by hand:
/// `0000{}` comes at once, `1111{}` byte by byte, `2300{}` in pieces of two bytes, three bytes, and the rest.
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
