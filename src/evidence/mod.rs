//! Evidence: the pictures that a frontend must not see, handed to the app's own backend before the frontend has its
//! answer, so that they are there when the verdict arrives.
//!
//! [`signature`] signs a delivery as the Standard Webhooks convention says, [`deliver`] makes it. Relies on
//! [`crate::outbound`] for HTTP. This part keeps nothing: no queue, no file; it sends to the one configured place and
//! never follows a redirect.

pub mod deliver;
mod settings;
pub mod signature;

pub use settings::{DeliveryCondition, EvidenceSettings};
