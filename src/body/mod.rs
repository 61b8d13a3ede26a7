//! A request's body on its way in: counted, timed, checked, cut and signed as it arrives, and held as it came.

mod arrival;
pub mod memory;
mod pace;
mod pieces;
pub mod raw;
pub mod receive;
mod rules;

pub use rules::BodyRules;
