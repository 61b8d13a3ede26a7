//! `[[identity]]`: who may vouch for callers, and with which keys.

use super::{
    checked::{TOP, sections},
    keys,
    reader::{Placed, Reader, Section},
    tree::Table,
};
use crate::auth::{Algorithm, IdentitySettings, keys::KeySet};

impl Reader<'_> {
    pub(super) fn identities(&mut self, root: &Table) -> Vec<IdentitySettings> {
        let sections = sections(root, "identity", "identity[]");
        if sections.is_empty() {
            self.mistake(&TOP, "no [[identity]]: nobody could call", "add one, with `issuer`, `audience` and one of `secret`, `public_key_file`, `jwks_file`");
        }
        let mut identities: Vec<IdentitySettings> = Vec::new();
        for section in sections {
            self.header("[[identity]]");
            let issuer = self.required(
                &section,
                "issuer",
                "write exactly what the tokens have in `iss`",
            );
            if let Some((issuer, place)) = &issuer
                && identities.iter().any(|other| other.issuer == *issuer)
            {
                self.mistake(
                    place,
                    format!("two identities have the issuer `{issuer}`"),
                    "put both keys into one key set (`jwks_file`)",
                );
            }
            let before = self.mistakes.len();
            let audience = self.texts(&section, "audience").unwrap_or_default();
            if self.mistakes.len() == before
                && (audience.is_empty() || audience.iter().any(|(text, _)| text.is_empty()))
            {
                self.mistake(
                    &section.place,
                    "`audience` is missing: tokens for other services would be taken",
                    "write what the tokens have in `aud`",
                );
            }
            let keys = self.keys(&section);
            let user_claim = self.required(
                &section,
                "user_claim",
                "write the claim that names the user",
            );
            let leeway = self.duration(&section, "leeway");
            if let (Some((issuer, _)), Some(keys), Some((user_claim, _)), Some(leeway)) =
                (issuer, keys, user_claim, leeway)
            {
                let audience = audience.into_iter().map(|(text, _)| text).collect();
                identities.push(IdentitySettings {
                    issuer,
                    audience,
                    keys,
                    user_claim,
                    leeway,
                });
            }
        }
        identities
    }

    fn keys(&mut self, section: &Section<'_>) -> Option<KeySet> {
        const SOURCES: [&str; 3] = ["secret", "public_key_file", "jwks_file"];
        let given = section.table.map_or(0, |table| {
            SOURCES
                .iter()
                .filter(|name| table.contains_key(**name))
                .count()
        });
        if given != 1 {
            let message = if given == 0 {
                "this identity has no keys"
            } else {
                "this identity has keys from several places"
            };
            self.mistake(
                &section.place,
                message,
                "write exactly one of `secret`, `public_key_file` and `jwks_file`",
            );
            return None;
        }
        let (made, place): Placed<Result<KeySet, String>> = if section.table?.contains_key("secret")
        {
            let (secret, place) = self.secret(section, "secret")?;
            (KeySet::from_secret(&secret), place)
        } else if let Some(path) = self.path(section, "public_key_file") {
            (KeySet::from_pem(&self.file(&path)?), path.1)
        } else {
            let path = self.path(section, "jwks_file")?;
            (KeySet::from_jwks(&self.file(&path)?), path.1)
        };
        let keys = match made {
            Ok(keys) => keys,
            Err(why) => {
                let source = SOURCES
                    .into_iter()
                    .find(|name| section.table.is_some_and(|table| table.contains_key(*name)));
                self.mistake(
                    &place,
                    format!("`{}` {why}", source.unwrap_or_default()),
                    "see the identity section of the configuration reference for what keys may be",
                );
                return None;
            }
        };
        self.restricted(section, keys)
    }

    fn restricted(&mut self, section: &Section<'_>, keys: KeySet) -> Option<KeySet> {
        let Some(names) = self.texts(section, "algorithms") else {
            return Some(keys);
        };
        let algorithms: Vec<_> = names
            .iter()
            .filter_map(|name| self.algorithm(name))
            .collect();
        if algorithms.len() < names.len() {
            return None;
        }
        match keys.restrict(&algorithms) {
            Ok(keys) => Some(keys),
            Err(why) => {
                let place = names.first().map_or(&section.place, |(_, place)| place);
                self.mistake(
                    place,
                    format!("`algorithms` {why}"),
                    "write those of the keys, or leave `algorithms` out",
                );
                None
            }
        }
    }

    fn algorithm(&mut self, (name, place): &Placed<String>) -> Option<Algorithm> {
        let known = keys::ALGORITHMS
            .contains(&name.as_str())
            .then(|| name.parse::<Algorithm>().ok())
            .flatten();
        if known.is_none() {
            self.mistake(
                place,
                format!("`{name}` is not an algorithm we take"),
                format!("write some of: {}", keys::ALGORITHMS.join(", ")),
            );
        }
        known
    }
}
