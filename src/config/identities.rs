//! `[[identity]]`: who may vouch for callers, and with which keys.

use std::time::Duration;

use super::{
    checked::{TOP, sections},
    diagnostics, keys,
    reader::{ConfigReader, ConfigSection, Located},
    tree::{ConfigTable, ConfigValue},
    units,
};
use crate::secret::Secret;
use crate::{
    auth::{
        Algorithm, IdentitySettings, KeySetError, KeySource, discovery,
        key_set::VerificationKeys,
        remote::{FetchTiming, KeySetLocation, RemoteKeySettings},
    },
    outbound::origin::Url,
    rotation::{InputSource, LoadError, LoaderInput},
};

/// Where keys may come from; none of them is discovery.
const SOURCES: [&str; 4] = ["jwks_url", "jwks_file", "public_key_file", "secret"];

/// Reads the keys in a text.
type ReadKeys = fn(&Secret) -> Result<VerificationKeys, KeySetError>;

impl ConfigReader<'_> {
    pub(super) fn identities(&mut self, root: &ConfigTable) -> Vec<IdentitySettings> {
        let sections = sections(root, "identity", "identity[]");
        if sections.is_empty() {
            self.error(
                &TOP,
                "no [[identity]]: nobody could call",
                "add one, with `issuer` and `audience`",
            );
        }
        let mut identities: Vec<IdentitySettings> = Vec::new();
        for (at, section) in sections.into_iter().enumerate() {
            self.header("[[identity]]");
            let issuer = self.required(
                &section,
                "issuer",
                "write exactly what the tokens have in `iss`",
            );
            if let Some((issuer, place)) = &issuer
                && identities.iter().any(|other| other.issuer == *issuer)
            {
                self.error(
                    place,
                    format!("two identities have the issuer `{issuer}`"),
                    "write it once: one identity may have several keys and audiences",
                );
            }
            let before = self.errors.len();
            let audience = self.texts(&section, "audience").unwrap_or_default();
            if self.errors.len() == before
                && (audience.is_empty() || audience.iter().any(|(text, _)| text.is_empty()))
            {
                self.error(
                    &section.place,
                    "`audience` is missing: tokens for other services would be taken",
                    "write what the tokens have in `aud`",
                );
            }
            let keys = self.keys(&section, at, issuer.as_ref());
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
        section: &ConfigSection<'_>,
        at: usize,
        issuer: Option<&Located<String>>,
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
                let issuer = issuer.map(|(issuer, _)| issuer.as_str());
                self.fixed(section, at, source, issuer)
                    .map(KeySource::Fixed)
            }
            _ => {
                self.error(
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

    fn refuse_fetching(&mut self, section: &ConfigSection<'_>) {
        for name in ["ca_file", "max_stale"] {
            let Some((place, item)) = section.table.and_then(|table| table.get(name)) else {
                continue;
            };
            if !matches!(&item.value, ConfigValue::Text(text) if text.is_empty()) {
                self.error(
                    place,
                    format!("`{name}` is for keys that are fetched, and these are not"),
                    "leave it out",
                );
            }
        }
    }

    /// Keys that are in the configuration's files or in the environment.
    fn fixed(
        &mut self,
        section: &ConfigSection<'_>,
        at: usize,
        source: &str,
        issuer: Option<&str>,
    ) -> Option<VerificationKeys> {
        let (part, read): (_, ReadKeys) = match source {
            "secret" => (
                self.secret_part(section, "secret", LoaderInput::any),
                VerificationKeys::from_secret,
            ),
            "public_key_file" => (self.keys_part(section, "public_key_file"), |text| {
                VerificationKeys::from_pem(text.reveal())
            }),
            _ => (self.keys_part(section, "jwks_file"), |text| {
                VerificationKeys::from_jwks(text.reveal())
            }),
        };
        // Which of the identities it is, counted as the environment's overrides count them.
        let part = part.map(|(mut part, place)| {
            part.key = part.key.replace("[]", &format!("[{at}]"));
            (part, place)
        });
        let (algorithms, listed_at) = self.listed(section)?.unzip();
        let key = source.to_owned();
        let mut parts = vec![part];
        // Where what is wrong with the list is said.
        let misfit = match listed_at {
            Some(place) => {
                parts.push(Some((self.list_part(), place)));
                1
            }
            None => 0,
        };
        let (keys, reloadable) = self.made_of(parts, move |texts| {
            const HELP: &str =
                "see the identity section of the configuration reference for what keys may be";
            let text = texts.first().ok_or_else(LoadError::wrong_input_count)?;
            let keys = read(text)
                .map_err(|why| LoadError::of(0, format!("`{key}` cannot be used: {why}"), HELP))?;
            match &algorithms {
                None => Ok(keys),
                Some(algorithms) => keys.restrict(algorithms).map_err(|why| {
                    let help = "write those of the keys, or leave `algorithms` out";
                    LoadError::of(misfit, format!("`algorithms` cannot be used: {why}"), help)
                }),
            }
        })?;
        let issuer = issuer.unwrap_or_default().to_owned();
        self.reloadable.identities.push((issuer, reloadable));
        Some(keys)
    }

    /// The list of algorithms, which limits what keys may be and never changes.
    fn list_part(&self) -> LoaderInput {
        LoaderInput {
            key: "identity[].algorithms".into(),
            source: InputSource::Fixed(Secret::new("")),
            check: LoaderInput::any,
        }
    }

    fn keys_part(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<LoaderInput>> {
        let (text, place) = self.required(section, name, "name the file, or leave it out")?;
        self.document_part(
            section,
            name,
            (self.base.join(text), place),
            LoaderInput::any,
        )
    }

    /// Where the keys are fetched from.
    fn published_at(
        &mut self,
        section: &ConfigSection<'_>,
        issuer: Option<&Located<String>>,
        discovery: bool,
    ) -> Option<KeySetLocation> {
        if discovery {
            let (issuer, place) = issuer?;
            let Some(url) = discovery::document_url(issuer) else {
                self.error(
                    place,
                    format!("`{issuer}` is no URL, so its keys can't be discovered"),
                    format!(
                        "write the issuer's https:// URL, or say where the keys are: {}",
                        SOURCES.join(", ")
                    ),
                );
                return None;
            };
            return self.trustworthy(url, place).map(KeySetLocation::Discovery);
        }
        let (text, place) = self.required(
            section,
            "jwks_url",
            "write the address of the key set, or leave it out",
        )?;
        let Some(url) = Url::parse(&text) else {
            self.error(
                &place,
                format!("`{text}` is not a URL"),
                "write one like https://login.example.com/jwks.json",
            );
            return None;
        };
        self.trustworthy(url, &place).map(KeySetLocation::KeySet)
    }

    fn trustworthy(&mut self, url: Url, place: &diagnostics::ConfigLocation) -> Option<Url> {
        if !url.is_trustworthy() {
            self.error(
                place,
                "keys fetched over http:// could be anybody's",
                "write https://, or http:// and a loopback address",
            );
            return None;
        }
        Some(url)
    }

    fn remote(
        &mut self,
        section: &ConfigSection<'_>,
        place: Option<KeySetLocation>,
    ) -> Option<KeySource> {
        let algorithms = self.texts(section, "algorithms");
        if let Some(list) = &algorithms {
            for (algorithm, place) in list {
                if algorithm.starts_with("HS") {
                    self.error(
                        place,
                        format!("`{algorithm}` needs a shared secret, and what an issuer publishes is none"),
                        "leave it out, or give the `secret`",
                    );
                }
            }
            if list.is_empty() {
                self.error(
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
        Some(KeySource::Remote(Box::new(RemoteKeySettings {
            location: place?,
            tls: tls?,
            algorithms,
            max_stale: max_stale?,
            timing: FetchTiming::default(),
        })))
    }

    fn max_stale(&mut self, section: &ConfigSection<'_>) -> Option<Duration> {
        const FORM: &str = "write a duration from \"1s\" to \"30day\"";
        let before = self.errors.len();
        let Some((text, place)) = self.text(section, "max_stale") else {
            if self.errors.len() == before {
                self.error(&section.place, "`max_stale` is empty", FORM);
            }
            return None;
        };
        let limits = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
        let time = units::duration(&text).filter(|time| limits.contains(time));
        if time.is_none() {
            self.error(&place, format!("`max_stale` can't be `{text}`"), FORM);
        }
        time
    }

    /// The algorithms that the operator lists, if any, and where; `None`: one of them is none.
    fn listed(
        &mut self,
        section: &ConfigSection<'_>,
    ) -> Option<Option<(Vec<Algorithm>, diagnostics::ConfigLocation)>> {
        let Some(names) = self.texts(section, "algorithms") else {
            return Some(None);
        };
        let place = names.first().map_or(&section.place, |(_, place)| place);
        let place = place.clone();
        let algorithms: Vec<_> = names
            .iter()
            .filter_map(|name| self.algorithm(name))
            .collect();
        (algorithms.len() == names.len()).then_some(Some((algorithms, place)))
    }

    fn algorithm(&mut self, (name, place): &Located<String>) -> Option<Algorithm> {
        let known = keys::ALGORITHMS
            .contains(&name.as_str())
            .then(|| name.parse::<Algorithm>().ok())
            .flatten();
        if known.is_none() {
            self.error(
                place,
                format!("`{name}` is not an algorithm we take"),
                format!("write some of: {}", keys::ALGORITHMS.join(", ")),
            );
        }
        known
    }
}
