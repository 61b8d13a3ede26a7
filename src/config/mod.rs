//! Turns a configuration file and the environment into checked settings.
//!
//! The steps: [`tree`] parses the file, [`overrides`] applies the environment, [`unknown`] rejects
//! names that no key has, and [`settings`] assembles the settings of all sections: [`server`],
//! [`outbound`], [`upstream`], [`identities`] with [`identity_keys`], [`sessions`], [`routes`] with
//! [`pins`] and [`answers`], [`verdict`], [`evidence`], [`store`] and [`audit`]. [`reader`],
//! [`units`] and [`secret_source`] read single values, [`certificates`] when files expire, and
//! [`keys`] is the table of all keys. [`diagnostics`] reports all errors at once, of a text that
//! [`redact`] has cleared of secrets.
//!
//! [`source`] reads the file again for a reload, [`values`] tell what has changed, and [`fixed`]
//! says what can't. [`warnings`] are about what is valid and odd.
//!
//! Checking a configuration changes nothing outside of the process. The gateway starts from
//! [`Settings`] alone, and no other module sees the form of the file.

mod answers;
mod audit;
mod certificates;
mod cors;
mod diagnostics;
mod evidence;
mod fixed;
mod identities;
mod identity_keys;
mod keys;
mod outbound;
mod overrides;
mod pins;
mod reader;
mod redact;
mod reloadable;
mod routes;
pub mod schema;
mod secret_source;
mod section;
mod server;
mod sessions;
mod settings;
mod source;
mod store;
mod telemetry;
mod tree;
pub(crate) mod units;
mod unknown;
mod upstream;
mod values;
mod verdict;
mod warnings;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

pub use certificates::CertifiedConfig;
pub use diagnostics::ConfigErrors;
pub use reloadable::{ReloadableAuthorities, ReloadableProxy, ReloadableSettings};
pub use settings::Settings;
pub use source::{ConfigSource, FileVersion};
pub use values::{ChangedKeys, ConfigValues};
pub use warnings::expiring;

use diagnostics::{ConfigError, ConfigLocation};
use source::PipeContents;

/// Maximum size of a configuration file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A valid configuration.
pub struct LoadedConfig {
    /// What the gateway starts from.
    pub settings: Settings,
    /// The same as TOML: every key with its value, and the sources of secrets instead of secrets.
    pub effective: String,
    /// What is valid, but probably not meant so. Never holds a secret.
    pub warnings: Vec<String>,
    /// What tells it from another one.
    pub values: ConfigValues,
    /// The text that it was read from.
    pub version: FileVersion,
}

/// What a configuration is read with, besides its text.
struct Surroundings<'a> {
    /// The folder that relative paths start from.
    base: &'a Path,
    /// The environment.
    variables: &'a BTreeMap<String, String>,
    /// What was read from pipes.
    pipes: &'a PipeContents,
    /// The configuration in use, if there is one.
    running: Option<&'a ConfigValues>,
}

/// Loads a file, with the environment of the process.
///
/// # Errors
/// All errors of the configuration.
pub fn load(path: &Path) -> Result<LoadedConfig, ConfigErrors> {
    ConfigSource::at(path).load()
}

/// Loads a text. Relative paths in it start from `base`; `variables` are the environment.
///
/// # Errors
/// All errors of the configuration.
pub fn load_text(
    text: &str,
    name: &str,
    base: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<LoadedConfig, ConfigErrors> {
    let surroundings = Surroundings {
        base,
        variables,
        pipes: &PipeContents::default(),
        running: None,
    };
    load_surrounded(text, name, &surroundings)
}

fn load_surrounded(
    text: &str,
    name: &str,
    surroundings: &Surroundings<'_>,
) -> Result<LoadedConfig, ConfigErrors> {
    let mut errors = Vec::new();
    let mut root = tree::parse(text, &mut errors);
    // Before an override hides what the file has in the place of a secret.
    let redacted = redact::redacted(text, &root, errors.is_empty());
    overrides::apply(surroundings.variables, &mut root, &mut errors);
    let mut reader = reader::ConfigReader {
        base: surroundings.base,
        variables: surroundings.variables,
        pipes: surroundings.pipes,
        running: surroundings.running,
        values: ConfigValues::default(),
        errors,
        warnings: Vec::new(),
        effective: String::new(),
        proxy: None,
        reloadable: ReloadableSettings::default(),
    };
    reader.reject_unknown_names(&root, "");
    let settings = reader.settings(&root);
    reader.reject_fixed(&root);
    if let Some(settings) = &settings {
        reader.warn_of(settings, SystemTime::now());
    }
    match settings {
        Some(settings) if reader.errors.is_empty() => Ok(LoadedConfig {
            settings,
            effective: reader.effective,
            warnings: reader.warnings,
            values: reader.values,
            version: FileVersion::of(text),
        }),
        _ => Err(ConfigErrors::new(name, redacted, reader.errors)),
    }
}

/// The text of a file.
fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: &str, help: &str| ConfigError {
        location: ConfigLocation::File,
        message: format!("the configuration can't be read: {reason}"),
        help: help.into(),
    };
    let missing = |error: std::io::Error| {
        let help = "name a TOML file with --config, or in LIVENESS_GATEWAY_CONFIG";
        unreadable(&error.to_string(), help)
    };
    if fs::metadata(path).map_err(missing)?.len() > MAX_FILE {
        return Err(unreadable(
            "it is larger than 1 MiB",
            "name a TOML file with --config",
        ));
    }
    let bytes = fs::read(path).map_err(missing)?;
    let is_utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    if is_utf16 || bytes.contains(&0) {
        return Err(unreadable(
            "it is not UTF-8 but UTF-16, or not a text",
            "save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(
            &format!("it is not UTF-8: line {line} has a character in another encoding"),
            "save it as UTF-8, or convert it: iconv -f ISO-8859-1 -t UTF-8, if it is Latin-1",
        )
    })
}
