//! `[[identity]]`: the issuers whose tokens are accepted.

use super::{
    diagnostics::ConfigLocation,
    reader::ConfigReader,
    section::ConfigSection,
    tree::{ConfigTable, ConfigValue},
};
use crate::auth::IdentitySettings;

impl ConfigReader<'_> {
    pub(super) fn identities(&mut self, root: &ConfigTable) -> Vec<IdentitySettings> {
        let is_empty =
            |value: &ConfigValue| matches!(value, ConfigValue::List(list) if list.is_empty());
        // An `identity` of another form has been reported already.
        if root
            .get("identity")
            .is_none_or(|(_, item)| is_empty(&item.value))
        {
            self.error(
                &ConfigLocation::File,
                "no [[identity]]: nobody could call",
                "add one, with `issuer` and `audience`",
            );
        }
        let mut identities: Vec<IdentitySettings> = Vec::new();
        let sections = ConfigSection::list(root, "identity", "identity[]");
        for (index, section) in sections.into_iter().enumerate() {
            if let Some(identity) = self.identity(&section, index, &identities) {
                identities.push(identity);
            }
        }
        identities
    }

    fn identity(
        &mut self,
        section: &ConfigSection<'_>,
        index: usize,
        others: &[IdentitySettings],
    ) -> Option<IdentitySettings> {
        self.header("[[identity]]");
        let help = "write the exact `iss` of the tokens";
        let issuer = self.required(section, "issuer", help);
        if let Some((issuer, location)) = &issuer
            && others.iter().any(|other| other.issuer == *issuer)
        {
            self.error(
                location,
                format!("two identities have the issuer `{issuer}`"),
                "write it once: one identity may have several keys and audiences",
            );
        }
        let audience = self.audience(section);
        let help = "write the claim that names the audience";
        let audience_claim = self.required(section, "audience_claim", help);
        let keys = self.key_source(section, index, issuer.as_ref());
        let help = "write the claim that identifies the user";
        let user_claim = self.required(section, "user_claim", help);
        let max_lifetime = self.duration(section, "max_lifetime");
        let leeway = self.duration(section, "leeway");
        Some(IdentitySettings {
            issuer: issuer?.0,
            audience,
            audience_claim: audience_claim?.0,
            keys: keys?,
            user_claim: user_claim?.0,
            max_lifetime,
            leeway: leeway?,
        })
    }

    fn audience(&mut self, section: &ConfigSection<'_>) -> Vec<String> {
        let before = self.errors.len();
        let audience = self.texts(section, "audience").unwrap_or_default();
        let has_none = audience.is_empty() || audience.iter().any(|(text, _)| text.is_empty());
        if has_none && self.errors.len() == before {
            self.error(
                &section.location,
                "`audience` is missing: tokens for other services would be accepted",
                "write the `aud` of the tokens, or name another claim as `audience_claim`",
            );
        }
        audience.into_iter().map(|(text, _)| text).collect()
    }
}
