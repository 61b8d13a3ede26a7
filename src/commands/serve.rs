//! `serve`
