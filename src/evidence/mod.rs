//! Evidence: delivers Qiniu's response, with the pictures that a frontend must not see, to the
//! app's own backend. The delivery ends before the frontend gets its response, so the pictures are
//! there when the verdict arrives.
//!
//! [`deliver`] posts a delivery, and [`signature`] signs it as the Standard Webhooks convention
//! requires. [`probe`] only asks whether the backend is there. Relies on [`crate::outbound`] for
//! HTTP. This part keeps nothing, in a queue or in a file. It sends to the configured URL only and
//! never follows a redirect.

pub mod deliver;
pub mod probe;
pub mod signature;

pub use deliver::{DeliveryCondition, EvidenceSettings};
