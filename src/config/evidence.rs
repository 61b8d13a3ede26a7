//! `[evidence]`: where pictures are delivered, and that nobody else can see them on the way.

use super::{
    reader::{ConfigReader, Located},
    redact,
    section::ConfigSection,
    tree::ConfigTable,
};
use crate::{
    evidence::{DeliveryCondition, EvidenceSettings, signature::WebhookSecret},
    outbound::origin::Url,
    rotation::{LoadError, LoaderInput},
};

impl ConfigReader<'_> {
    /// `None` without the section.
    pub(super) fn evidence(&mut self, root: &ConfigTable) -> Option<EvidenceSettings> {
        let section = ConfigSection::at(root, "evidence");
        section.table?;
        self.header("[evidence]");
        if !root.contains_key("verdict") {
            self.error(
                &section.location,
                "[evidence] needs [verdict], whose rule decides what a pass is",
                "add [verdict]; its `jti` also identifies each delivery",
            );
        }
        let help = "write the URL of the backend that receives the pictures";
        let url = self.required(&section, "url", help);
        let allow_plaintext = self.boolean(&section, "allow_plaintext");
        let url = url.and_then(|url| self.evidence_url(&url, allow_plaintext));
        let secret = self.webhook_secret(&section);
        let on = self.word(&section, "on");
        let required = self.boolean(&section, "required");
        let timeout = self.duration(&section, "timeout");
        let tls = self.client_tls(&section);
        let (url, tls) = (url?, tls?);
        Some(EvidenceSettings {
            dialer: self.dialer(),
            tls: url.origin.tls.then_some(tls),
            url,
            secret: secret?,
            on: match on?.as_str() {
                "always" => DeliveryCondition::Always,
                _ => DeliveryCondition::Pass,
            },
            required,
            timeout: timeout?,
        })
    }

    fn evidence_url(
        &mut self,
        (text, location): &Located<String>,
        allow_plaintext: bool,
    ) -> Option<Url> {
        let Some(url) = Url::parse(text) else {
            let shown = redact::shown_url(text);
            self.error(
                location,
                format!("`{shown}` is not a URL that pictures can be posted to"),
                "write https://host/path, or http:// and a loopback address",
            );
            return None;
        };
        if !url.origin.tls && !url.origin.is_loopback() && !allow_plaintext {
            self.error(
                location,
                "http:// would send faces in the clear",
                "write https://, or `allow_plaintext = true` if a mesh encrypts the connection",
            );
        }
        Some(url)
    }

    fn webhook_secret(&mut self, section: &ConfigSection<'_>) -> Option<WebhookSecret> {
        let input = self.secret_input(section, "secret", LoaderInput::any);
        let (secret, reloadable) = self.load(vec![input], |texts| match texts {
            [secret] => WebhookSecret::parse(secret).map_err(|error| {
                let help = "make one: echo \"whsec_$(openssl rand -base64 32)\"";
                LoadError::of(0, format!("`secret` cannot be used: {error}"), help)
            }),
            _ => Err(LoadError::wrong_input_count()),
        })?;
        self.reloadable.evidence = reloadable;
        Some(secret)
    }
}
