//! A request's body on its way in: counted, timed, checked, cut and signed as it arrives, and held as it came.

pub mod admission;
mod arrival;
mod pace;
mod pieces;
pub mod raw;
pub mod receive;
pub mod received;
pub mod refusal;
mod rules;
pub mod upload;

pub use rules::BodyRules;
