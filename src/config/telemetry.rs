//! `[telemetry]`: where traces are sent, and which.

use super::{
    reader::{ConfigReader, Located},
    redact,
    section::ConfigSection,
    tree::ConfigTable,
};
use crate::{outbound::origin::Url, traces::TraceSettings};

/// What the specification of OTLP/HTTP adds to an endpoint.
const TRACES: &str = "/v1/traces";

impl ConfigReader<'_> {
    /// `None` without an endpoint.
    pub(super) fn telemetry(&mut self, root: &ConfigTable) -> Option<TraceSettings> {
        let section = ConfigSection::at(root, "telemetry");
        self.header("[telemetry]");
        let endpoint = self.text(&section, "otlp_endpoint");
        let sample_ratio = self.fraction(&section, "sample_ratio");
        let service_name = self.text(&section, "service_name");
        let allow_plaintext = self.boolean(&section, "allow_plaintext");
        let Some(endpoint) = endpoint else {
            // Judged and shown all the same, but no authorities are read for nobody.
            self.text(&section, "ca_file");
            return None;
        };
        let tls = self.client_tls(&section);
        let url = self.collector_url(&endpoint, allow_plaintext)?;
        Some(TraceSettings {
            dialer: self.dialer(),
            tls: url.origin.tls.then_some(tls?),
            url,
            sample_ratio: sample_ratio?.0,
            service_name: service_name.map(|(name, _)| name).unwrap_or_default(),
        })
    }

    fn collector_url(
        &mut self,
        (text, location): &Located<String>,
        allow_plaintext: bool,
    ) -> Option<Url> {
        let base = text.strip_suffix('/').unwrap_or(text);
        let url = Url::parse(&format!("{base}{TRACES}")).filter(|_| !text.contains('?'));
        let Some(url) = url else {
            let shown = redact::shown_url(text);
            self.error(
                location,
                format!("`{shown}` is not the URL of a collector"),
                "write https://host:4318, or http:// and a loopback address; `/v1/traces` is added",
            );
            return None;
        };
        if base.ends_with(TRACES) {
            self.error(
                location,
                "`/v1/traces` is added to the endpoint",
                "write the URL without it",
            );
        }
        if !url.origin.tls && !url.origin.is_loopback() && !allow_plaintext {
            self.error(
                location,
                "http:// would send traces in the clear",
                "write https://, or `allow_plaintext = true` if a mesh encrypts the connection",
            );
        }
        Some(url)
    }
}
