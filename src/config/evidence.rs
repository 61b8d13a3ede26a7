//! `[evidence]`: where pictures go, and that they go there unseen by others.

use super::{
    checked::section,
    reader::{ConfigReader, ConfigSection, Located},
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
        let section = section(root, "evidence");
        section.table?;
        self.header("[evidence]");
        if !root.contains_key("verdict") {
            self.error(
                &section.place,
                "[evidence] without [verdict]: nothing says what a pass is",
                "add [verdict], whose rule decides and whose `jti` names each delivery",
            );
        }
        let url = self.required(
            &section,
            "url",
            "write the URL of the backend that takes the pictures",
        );
        let allow_plaintext = self.bool(&section, "allow_plaintext");
        let url = url.and_then(|url| self.evidence_url(&url, allow_plaintext));
        let secret = self.webhook_secret(&section);
        let on = self.word(&section, "on", &["pass", "always"]);
        let required = self.bool(&section, "required");
        let timeout = self.duration(&section, "timeout");
        let tls = self.outgoing_tls(&section);
        let (url, tls) = (url?, tls?);
        Some(EvidenceSettings {
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
        (text, place): &Located<String>,
        allow_plaintext: bool,
    ) -> Option<Url> {
        const FORM: &str = "write https://host/path, or http:// and a loopback address";
        let Some(url) = Url::parse(text) else {
            self.error(
                place,
                format!("`{text}` is not a URL that can be posted to"),
                FORM,
            );
            return None;
        };
        if !url.origin.tls && !url.origin.is_loopback() && !allow_plaintext {
            self.error(
                place,
                "http:// would send faces in the clear",
                "write https://, or `allow_plaintext = true` where a mesh encrypts on the way",
            );
        }
        Some(url)
    }

    fn webhook_secret(&mut self, section: &ConfigSection<'_>) -> Option<WebhookSecret> {
        let part = self.secret_part(section, "secret", LoaderInput::any);
        let (secret, reloadable) = self.made_of(vec![part], |texts| match texts {
            [secret] => WebhookSecret::parse(secret).map_err(|why| {
                let help = "make one: echo \"whsec_$(openssl rand -base64 32)\"";
                LoadError::of(0, format!("`secret` {why}"), help)
            }),
            _ => Err(LoadError::wrong_input_count()),
        })?;
        self.reloadable.evidence = reloadable;
        Some(secret)
    }
}
