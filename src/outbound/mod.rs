//! One HTTP/1.1 call to somebody else's server, over TLS or plain text: connect, send, read the answer to its exact end.
//!
//! [`origin`] says where, [`connection`] opens the stream, [`exchange`] makes the call, `head` and `framing` read what comes back,
//! [`fetch`] reads a whole document, [`freshness`] says how long it may be kept, [`tls`] says whose certificates are trusted. It knows nothing of what it carries, has no time limits of its own, never
//! follows a redirect, and never sends a request twice.

pub mod connection;
pub mod exchange;
pub mod fetch;
pub mod framing;
pub mod head;
pub mod origin;
