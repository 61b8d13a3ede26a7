//! `[[identity]]`: who may vouch for callers, and with which keys.

use std::{path::PathBuf, time::Duration};

use super::{
    checked::{TOP, sections},
    diagnostics, keys,
    reader::{Placed, Reader, Section},
    tree::{Table, Value},
    units,
};
use crate::{
    auth::{
        Algorithm, IdentitySettings, KeySource, discovery,
        keys::KeySet,
        remote::{Place, RemoteSettings, Timing},
    },
    outbound::origin::Url,
};

/// Where keys may come from; none of them is discovery.
const SOURCES: [&str; 4] = ["jwks_url", "jwks_file", "public_key_file", "secret"];

impl Reader<'_> {
    pub(super) fn identities(&mut self, root: &Table) -> Vec<IdentitySettings> {
        let sections = sections(root, "identity", "identity[]");
        if sections.is_empty() {
            self.mistake(
                &TOP,
                "no [[identity]]: nobody could call",
                "add one, with `issuer` and `audience`",
            );
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
                    "write it once: one identity may have several keys and audiences",
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
            let keys = self.keys(&section, issuer.as_ref());
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

    /// The one source that is written; none is discovery.
    fn keys(
        &mut self,
        section: &Section<'_>,
        issuer: Option<&Placed<String>>,
    ) -> Option<KeySource> {
        let is_given = |name: &str| section.table.is_some_and(|table| table.contains_key(name));
        let given: Vec<_> = SOURCES.into_iter().filter(|name| is_given(name)).collect();
        match given.as_slice() {
            [] | ["jwks_url"] => {
                let place = self.published_at(section, issuer, given.is_empty());
                self.remote(section, place)
            }
            [source] => {
                self.refuse_fetching(section);
                let keys = self.fixed(section, source)?;
                self.restricted(section, keys).map(KeySource::Fixed)
            }
            _ => {
                self.mistake(
                    &section.place,
                    format!(
                        "this identity has keys from several places: {}",
                        given.join(", ")
                    ),
                    "write one of them, or none for OIDC discovery",
                );
                None
            }
        }
    }

    fn refuse_fetching(&mut self, section: &Section<'_>) {
        for name in ["ca_file", "max_stale"] {
            let Some((place, item)) = section.table.and_then(|table| table.get(name)) else {
                continue;
            };
            if !matches!(&item.value, Value::Text(text) if text.is_empty()) {
                self.mistake(
                    place,
                    format!("`{name}` is for keys that are fetched, and these are not"),
                    "leave it out",
                );
            }
        }
    }

    fn fixed(&mut self, section: &Section<'_>, source: &str) -> Option<KeySet> {
        let (made, place): Placed<Result<KeySet, String>> = match source {
            "secret" => {
                let (secret, place) = self.secret(section, "secret")?;
                (KeySet::from_secret(&secret), place)
            }
            "public_key_file" => {
                let path = self.path_of_keys(section, "public_key_file")?;
                (KeySet::from_pem(&self.file(&path)?), path.1)
            }
            _ => {
                let path = self.path_of_keys(section, "jwks_file")?;
                (KeySet::from_jwks(&self.file(&path)?), path.1)
            }
        };
        match made {
            Ok(keys) => Some(keys),
            Err(why) => {
                self.mistake(
                    &place,
                    format!("`{source}` {why}"),
                    "see the identity section of the configuration reference for what keys may be",
                );
                None
            }
        }
    }

    fn path_of_keys(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<PathBuf>> {
        let text = self.required(section, name, "name the file, or leave it out")?;
        Some((self.base.join(text.0), text.1))
    }

    /// Where the keys are fetched from.
    fn published_at(
        &mut self,
        section: &Section<'_>,
        issuer: Option<&Placed<String>>,
        discovery: bool,
    ) -> Option<Place> {
        if discovery {
            let (issuer, place) = issuer?;
            let Some(url) = discovery::document_of(issuer) else {
                self.mistake(
                    place,
                    format!("`{issuer}` is no URL, so its keys can't be discovered"),
                    format!(
                        "write the issuer's https:// URL, or say where the keys are: {}",
                        SOURCES.join(", ")
                    ),
                );
                return None;
            };
            return self.trustworthy(url, place).map(Place::Discovery);
        }
        let (text, place) = self.required(
            section,
            "jwks_url",
            "write the address of the key set, or leave it out",
        )?;
        let Some(url) = Url::parse(&text) else {
            self.mistake(
                &place,
                format!("`{text}` is not a URL"),
                "write one like https://login.example.com/jwks.json",
            );
            return None;
        };
        self.trustworthy(url, &place).map(Place::KeySet)
    }

    fn trustworthy(&mut self, url: Url, place: &diagnostics::Place) -> Option<Url> {
        if !url.is_trustworthy() {
            self.mistake(
                place,
                "keys fetched over http:// could be anybody's",
                "write https://, or http:// and a loopback address",
            );
            return None;
        }
        Some(url)
    }

    fn remote(&mut self, section: &Section<'_>, place: Option<Place>) -> Option<KeySource> {
        let algorithms = self.texts(section, "algorithms");
        if let Some(list) = &algorithms {
            for (algorithm, place) in list {
                if algorithm.starts_with("HS") {
                    self.mistake(
                        place,
                        format!("`{algorithm}` needs a shared secret, and what an issuer publishes is none"),
                        "leave it out, or give the `secret`",
                    );
                }
            }
            if list.is_empty() {
                self.mistake(
                    &section.place,
                    "`algorithms` lists no algorithm",
                    "leave it out to allow what fits the keys",
                );
            }
        }
        let tls = self.outgoing_tls(section);
        let max_stale = self.max_stale(section);
        let algorithms = match algorithms {
            None => None,
            Some(list) => Some(
                list.iter()
                    .map(|name| self.algorithm(name))
                    .collect::<Option<Vec<_>>>()?,
            ),
        };
        Some(KeySource::Remote(Box::new(RemoteSettings {
            place: place?,
            tls: tls?,
            algorithms,
            max_stale: max_stale?,
            timing: Timing::default(),
        })))
    }

    fn max_stale(&mut self, section: &Section<'_>) -> Option<Duration> {
        const FORM: &str = "write a duration from \"1s\" to \"30day\"";
        let before = self.mistakes.len();
        let Some((text, place)) = self.text(section, "max_stale") else {
            if self.mistakes.len() == before {
                self.mistake(&section.place, "`max_stale` is empty", FORM);
            }
            return None;
        };
        let limits = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
        let time = units::duration(&text).filter(|time| limits.contains(time));
        if time.is_none() {
            self.mistake(&place, format!("`max_stale` can't be `{text}`"), FORM);
        }
        time
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
