//! `schema`
