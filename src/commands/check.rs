//! `check`
