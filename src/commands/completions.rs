//! `completions`
