//! The upstream: signing, connections, answers.
//!
//! [`signature`] signs, [`outgoing`] is the only builder of a signed request, [`pool`] keeps connections, and [`answer`] makes
//! the call and turns what comes back into what a caller may see; [`marks`] are what a verdict is made of, [`whole`] is an answer with
//! its pictures. Relies on [`crate::outbound`] for HTTP itself.
//! This part never sends a request twice once one of its bytes may have left, with one exception that its caller asks for.

pub mod answer;
mod failure;
pub mod marks;
pub mod outgoing;
pub mod pool;
mod sealing;
mod settings;
pub mod signature;
pub mod whole;

pub use settings::{Credentials, UpstreamSettings};

use crate::secret::Secret;
