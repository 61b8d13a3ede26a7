//! What decides whether a body is let in at all, and for how long it may take to come.

use std::sync::Arc;

use crate::memory::BodyMemory;

/// What all bodies have in common.
#[derive(Clone)]
pub struct BodyAdmission {
    /// The memory for all bodies.
    pub memory: Arc<BodyMemory>,
    /// Bytes per second that a body must keep up.
    pub min_rate: u64,
}
