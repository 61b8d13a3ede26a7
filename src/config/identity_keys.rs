//! The keys of an `[[identity]]`: from a file, from the environment, or fetched from the issuer.

use super::{
    diagnostics::ConfigLocation,
    keys,
    reader::{ConfigReader, Located},
    redact,
    section::ConfigSection,
    tree::ConfigValue,
};
use crate::{
    auth::{
        Algorithm, KeySource, algorithm_named, discovery,
        key_set::VerificationKeys,
        remote::{FetchTiming, KeySetLocation, RemoteKeySettings},
    },
    outbound::origin::Url,
    rotation::{InputError, InputSource, LoadError, LoaderInput},
    secret::Secret,
};

/// The keys that name a key source. Without any of them, the source is OIDC discovery.
const SOURCES: [&str; 4] = ["jwks_url", "jwks_file", "public_key_file", "secret"];

/// Reads verification keys from a text.
type ReadKeys = fn(&Secret) -> Result<VerificationKeys, InputError>;

impl ConfigReader<'_> {
    /// The one source of keys that is written, or else discovery.
    pub(super) fn key_source(
        &mut self,
        section: &ConfigSection<'_>,
        index: usize,
        issuer: Option<&Located<String>>,
    ) -> Option<KeySource> {
        let written: Vec<_> = SOURCES
            .into_iter()
            .filter(|name| section.has(name))
            .collect();
        match written.as_slice() {
            [] | ["jwks_url"] => {
                let location = self.key_set_location(section, issuer, written.is_empty());
                self.remote(section, location)
            }
            [source] => {
                self.reject_fetching(section);
                let issuer = issuer.map(|(issuer, _)| issuer.as_str());
                self.fixed(section, index, source, issuer)
                    .map(KeySource::Fixed)
            }
            _ => {
                self.error(
                    &section.location,
                    format!(
                        "this identity has keys from several sources: {}",
                        written.join(", ")
                    ),
                    "write one of them, or none for OIDC discovery",
                );
                None
            }
        }
    }

    /// Reports settings for fetching, where nothing is fetched.
    fn reject_fetching(&mut self, section: &ConfigSection<'_>) {
        for name in ["ca_file", "max_stale"] {
            let Some((location, item)) = section.table.and_then(|table| table.get(name)) else {
                continue;
            };
            if !matches!(&item.value, ConfigValue::Text(text) if text.is_empty()) {
                self.error(
                    location,
                    format!("`{name}` is for keys that are fetched, and these are not"),
                    "leave it out",
                );
            }
        }
    }

    /// Keys from a file or from the environment.
    fn fixed(
        &mut self,
        section: &ConfigSection<'_>,
        index: usize,
        source: &str,
        issuer: Option<&str>,
    ) -> Option<VerificationKeys> {
        let (input, read): (_, ReadKeys) = match source {
            "secret" => (
                self.secret_input(section, "secret", LoaderInput::any),
                |text| VerificationKeys::from_secret(text).map_err(|it| keys_error("secret", it)),
            ),
            "public_key_file" => (self.keys_input(section, "public_key_file"), |text| {
                let keys = VerificationKeys::from_pem(text.reveal());
                keys.map_err(|error| keys_error("public_key_file", error))
            }),
            _ => (self.keys_input(section, "jwks_file"), |text| {
                let keys = VerificationKeys::from_jwks(text.reveal());
                keys.map_err(|error| keys_error("jwks_file", error))
            }),
        };
        // Log lines count identities from 0, as overrides do.
        let input = input.map(|(mut input, location)| {
            input.key = input.key.replace("[]", &format!("[{index}]"));
            (input, location)
        });
        let mut inputs = vec![input];
        let algorithms = self.algorithms(section)?;
        // A list of algorithms that does not fit is reported where the list is.
        let misfit = match &algorithms {
            Some(listed) => {
                let location = listed.first().map_or(&section.location, |(_, it)| it);
                inputs.push(Some((algorithms_input(), location.clone())));
                1
            }
            None => 0,
        };
        let algorithms = algorithms.map(without_locations);
        let (keys, reloadable) = self.load(inputs, move |texts| {
            let text = texts.first().ok_or_else(LoadError::wrong_input_count)?;
            let keys = read(text).map_err(|error| LoadError { input: 0, error })?;
            match &algorithms {
                None => Ok(keys),
                Some(algorithms) => keys.restrict(algorithms).map_err(|error| {
                    let help = "write those that fit, or leave `algorithms` out";
                    LoadError::of(
                        misfit,
                        format!("`algorithms` cannot be used: {error}"),
                        help,
                    )
                }),
            }
        })?;
        let issuer = issuer.unwrap_or_default().to_owned();
        self.reloadable.identities.push((issuer, reloadable));
        Some(keys)
    }

    fn keys_input(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
    ) -> Option<Located<LoaderInput>> {
        let file = self.required(section, name, "name the file, or leave it out")?;
        self.document_input(section, name, file, LoaderInput::any)
    }

    /// Where the key set is fetched from.
    fn key_set_location(
        &mut self,
        section: &ConfigSection<'_>,
        issuer: Option<&Located<String>>,
        discovery: bool,
    ) -> Option<KeySetLocation> {
        if discovery {
            let (issuer, location) = issuer?;
            let Some(url) = discovery::document_url(issuer) else {
                let shown = redact::shown_url(issuer);
                self.error(
                    location,
                    format!("`{shown}` is no URL, so its keys can't be discovered"),
                    format!(
                        "write the issuer's https:// URL, or a source of keys: {}",
                        SOURCES.join(", ")
                    ),
                );
                return None;
            };
            return self
                .trustworthy(url, location)
                .map(KeySetLocation::Discovery);
        }
        let help = "write the URL of the key set, or leave it out";
        let (text, location) = self.required(section, "jwks_url", help)?;
        let Some(url) = Url::parse(&text) else {
            self.error(
                &location,
                format!("`{}` is not a URL", redact::shown_url(&text)),
                "write one like https://login.example.com/jwks.json",
            );
            return None;
        };
        self.trustworthy(url, &location).map(KeySetLocation::KeySet)
    }

    fn trustworthy(&mut self, url: Url, location: &ConfigLocation) -> Option<Url> {
        if !url.is_trustworthy() {
            self.error(
                location,
                "keys that are fetched over http:// could be anybody's",
                "write https://, or http:// and a loopback address",
            );
            return None;
        }
        Some(url)
    }

    fn remote(
        &mut self,
        section: &ConfigSection<'_>,
        location: Option<KeySetLocation>,
    ) -> Option<KeySource> {
        let algorithms = self.algorithms(section);
        if let Some(Some(algorithms)) = &algorithms {
            self.reject_hmac(algorithms);
            if algorithms.is_empty() {
                self.error(
                    &section.location,
                    "`algorithms` lists no algorithm",
                    "leave it out to allow all that fit the keys",
                );
            }
        }
        let tls = self.client_tls(section);
        let max_stale = self.duration(section, "max_stale");
        Some(KeySource::Remote(Box::new(RemoteKeySettings {
            location: location?,
            dialer: self.dialer(),
            tls: tls?,
            algorithms: algorithms?.map(without_locations),
            max_stale: max_stale?,
            timing: FetchTiming::default(),
        })))
    }

    fn reject_hmac(&mut self, algorithms: &[Located<Algorithm>]) {
        for (algorithm, location) in algorithms {
            if matches!(
                algorithm,
                Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
            ) {
                self.error(
                    location,
                    format!("`{algorithm:?}` needs a shared secret, and no issuer publishes one"),
                    "leave it out, or give the `secret`",
                );
            }
        }
    }

    /// The algorithms that are listed. The outer `None`: one of them is unknown.
    fn algorithms(
        &mut self,
        section: &ConfigSection<'_>,
    ) -> Option<Option<Vec<Located<Algorithm>>>> {
        let Some(names) = self.texts(section, "algorithms") else {
            return Some(None);
        };
        let algorithms: Vec<_> = names
            .iter()
            .filter_map(|name| Some((self.algorithm(name)?, name.1.clone())))
            .collect();
        (algorithms.len() == names.len()).then_some(Some(algorithms))
    }

    fn algorithm(&mut self, (name, location): &Located<String>) -> Option<Algorithm> {
        let known = keys::ALGORITHMS
            .contains(&name.as_str())
            .then(|| algorithm_named(name))
            .flatten();
        if known.is_none() {
            self.error(
                location,
                format!("`{name}` is not a supported algorithm"),
                format!("write some of: {}", keys::ALGORITHMS.join(", ")),
            );
        }
        known
    }
}

/// Each algorithm once: one of them has two names.
fn without_locations(algorithms: Vec<Located<Algorithm>>) -> Vec<Algorithm> {
    let mut distinct = Vec::new();
    for (algorithm, _) in algorithms {
        if !distinct.contains(&algorithm) {
            distinct.push(algorithm);
        }
    }
    distinct
}

/// The list of algorithms as an input, for errors that are located there. It never changes.
fn algorithms_input() -> LoaderInput {
    LoaderInput {
        key: "identity[].algorithms".into(),
        source: InputSource::Fixed(Secret::new("")),
        check: LoaderInput::any,
        secret_source: None,
    }
}

fn keys_error(key: &str, error: impl std::fmt::Display) -> InputError {
    InputError::new(
        format!("`{key}` cannot be used: {error}"),
        "see [[identity]] in the configuration reference for the accepted keys",
    )
}
