//! What the operator decides about evidence.

use std::time::Duration;

use super::signature::WebhookSecret;
use crate::outbound::{connection::ClientTls, origin::Url};

/// `[evidence]`, checked.
pub struct EvidenceSettings {
    /// Where it goes.
    pub url: Url,
    /// TLS to there; absent exactly when the URL is `http://`.
    pub tls: Option<ClientTls>,
    /// Signs the deliveries.
    pub secret: WebhookSecret,
    /// Of which answers.
    pub on: DeliveryCondition,
    /// What was not acknowledged is no pass.
    pub required: bool,
    /// Time for a delivery, its retry included.
    pub timeout: Duration,
}

/// Which answers are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryCondition {
    /// Those that pass.
    Pass,
    /// All.
    Always,
}
