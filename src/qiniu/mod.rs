//! The upstream: signing, connections, answers.
//!
//! [`signature`] signs, [`outgoing`] is the only builder of a signed request, [`pool`] keeps [`connection`]s, [`send`]
//! makes one call, [`head`] and [`framing`] read what comes back, and [`answer`] turns it into what a caller may see.
//! This part never sends a request twice once one of its bytes may have left, with one exception that its caller asks for.

pub mod answer;
mod connection;
pub mod framing;
pub mod head;
pub mod outgoing;
pub mod pool;
pub mod send;
mod settings;
pub mod signature;
mod tls;

pub use settings::{Credentials, Endpoint, UpstreamSettings};
pub use tls::client_tls;

use crate::config::secret::Secret;
