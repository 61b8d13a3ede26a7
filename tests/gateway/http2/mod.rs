//! HTTP/2 as a peer that writes its frames by hand sees it.
//!
//! Relies on [`frames`](crate::support::frames) for the bytes, and on the real relay behind the
//! listener.

mod basics;
