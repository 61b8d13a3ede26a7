//! One-pass JSON: scanning, and cutting while scanning. No business words in here.

pub mod pointer;
