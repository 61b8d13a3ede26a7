//! A request's body on its way in: counted, timed, checked, cut and signed as it arrives, and held as it came.

pub mod memory;
pub mod receive;
mod rules;

pub use rules::BodyRules;
