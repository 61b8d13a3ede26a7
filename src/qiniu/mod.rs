//! The upstream: signing, connections, answers.
//!
//! [`signature`] signs, [`request`] is the only builder of a signed request, [`pool`] keeps connections, and [`response`] makes
//! the call and turns what comes back into what a caller may see; [`scores`] are what a verdict is made of, [`retained`] is an answer with
//! its pictures. Relies on [`crate::outbound`] for HTTP itself.
//! This part never sends a request twice once one of its bytes may have left, with one exception that its caller asks for.

mod failure;
pub mod pool;
pub mod request;
pub mod response;
pub mod retained;
pub mod scores;
mod sealing;
mod settings;
pub mod signature;

pub use settings::{Credentials, UpstreamSettings};

use crate::secret::Secret;
