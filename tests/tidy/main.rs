//! The repository's own rules, as tests: whoever breaks one is told where, and what to do.
//!
//! Reads files as text and knows nothing of the crate. The rules are explained in
//! `CONTRIBUTING.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at once where something is not as it expects"
)]

// Rust sources: code, comments and strings told apart.
mod source;

// Modules, and their imports from each other.
mod modules;

// Files: their length, their heads, the width of their lines.
mod files;

// The direction of imports, and cycles among them.
mod layers;

// Names: types, tests, and words that are not used here.
mod names;

// Errors are types.
mod errors;

// The manifests' memory limits hold what their configuration allows.
mod manifests;

// Code in the pages for backends is code of the examples.
mod examples;

// What the documents say of error codes and of each other.
mod documents;

// The OpenAPI document names the documented errors.
mod openapi;

// Markdown pages: their blocks, and what of these needs no translation.
mod markdown;

// The Chinese pages say what the English ones say.
mod translations;

// How Chinese is written.
mod chinese;

/// Fails with all that is wrong at once, and what to do about it.
fn none(faults: &[String], help: &str) {
    assert!(
        faults.is_empty(),
        "{} fault(s); {help}:\n  {}",
        faults.len(),
        faults.join("\n  ")
    );
}
