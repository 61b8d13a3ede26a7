//! `keygen`
