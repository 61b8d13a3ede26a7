//! One-pass JSON: scanning, and cutting while scanning. No business words in here.
//!
//! [`scanner`] splits bytes into events, strictly by RFC 8259, and can stop and go on at any byte. [`cut`] follows the
//! events with a set of [`rules`] and tells a [`sink`] which bytes stay and which [`value`]s were wanted. [`mod@pointer`] is how paths are written. Nothing here ever
//! builds a tree, recurses, or holds more than one short token.

pub mod cut;
mod error;
mod frame;
pub mod letters;
mod member;
mod name;
pub mod pointer;
pub mod rules;
mod run;
pub mod scanner;
pub mod sink;
mod text;
pub mod value;

#[cfg(test)]
mod tests;
