//! `sign`
