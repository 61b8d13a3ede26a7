//! What can be said about a video without decoding it.

pub mod base64;
