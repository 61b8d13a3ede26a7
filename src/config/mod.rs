//! From the written configuration to checked settings.
//!
//! [`keys`] is the table of all keys, [`tree`] what was written, [`unknown`] finds names that are in none; [`reader`],
//! [`measures`] and [`secret_source`] take values out of it, [`checked`], `tls`, [`upstream`], [`identities`], `sessions`, [`routes`],
//! [`pins`], `verdict`, `evidence` and `store` make settings of them, [`ReloadableSettings`] is what is made anew when files change, [`diagnostics`]
//! shows every mistake at once. Checking changes nothing in the world, and a gateway is started from [`Settings`] alone, never
//! from the file's own form.

mod checked;
mod diagnostics;
mod evidence;
mod identities;
mod keys;
mod measures;
mod pins;
mod reader;
mod reloadable;
mod routes;
pub mod schema;
mod secret_source;
mod sessions;
mod store;
mod tls;
mod tree;
pub(crate) mod units;
mod unknown;
mod upstream;
mod verdict;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, path::Path};

pub use diagnostics::ConfigErrors;
pub use reloadable::{ReloadableAuthorities, ReloadableSettings};

use crate::{auth, qiniu, relay, server, session, telemetry};

/// A file larger than this is none of ours.
const MAX_FILE: u64 = 1 << 20;

/// Everything that the gateway needs to start, checked: nothing in here can turn out to be wrong later.
pub struct Settings {
    /// The public listener.
    pub server: server::ServerSettings,
    /// The admin listener.
    pub admin: server::AdminSettings,
    /// Which origins may call from a browser.
    pub cors: relay::cors::CorsSettings,
    /// The upstream.
    pub qiniu: qiniu::UpstreamSettings,
    /// Who may vouch for callers.
    pub identities: Vec<auth::IdentitySettings>,
    /// How session ids are bound to callers; none: they are not.
    pub sessions: Option<session::SessionSettings>,
    /// What can be called.
    pub routes: Vec<crate::route::RouteSettings>,
    /// Signed results, where they are wanted.
    pub verdict: Option<crate::verdict::VerdictSettings>,
    /// Pictures for the app's backend, where they are wanted.
    pub evidence: Option<crate::evidence::EvidenceSettings>,
    /// What replicas share, where there are several.
    pub store: Option<crate::store::StoreSettings>,
    /// Logs.
    pub log: telemetry::LogSettings,
    /// What is made anew when files change.
    pub reloadable: ReloadableSettings,
}

/// A good configuration.
pub struct LoadedConfig {
    /// What it says.
    pub settings: Settings,
    /// The same as TOML, with every default filled in and secrets named but not shown.
    pub effective: String,
}

/// Loads a file, with the process's environment.
///
/// # Errors
/// All errors.
pub fn load(path: &Path) -> Result<LoadedConfig, ConfigErrors> {
    let name = path.display().to_string();
    let unreadable = |why: String| {
        let mistake = diagnostics::ConfigError {
            place: diagnostics::ConfigLocation::File(0..0),
            message: format!("the configuration can't be read: {why}"),
            help: "name a TOML file with --config, or in LIVENESS_GATEWAY_CONFIG".into(),
        };
        ConfigErrors::new(&name, "", vec![mistake])
    };
    match fs::metadata(path) {
        Ok(about) if about.len() > MAX_FILE => {
            return Err(unreadable("it is larger than 1 MiB".into()));
        }
        Ok(_) => {}
        Err(error) => return Err(unreadable(error.to_string())),
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let base = path
        .parent()
        .filter(|base| !base.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    load_text(&text, &name, base, &variables)
}

/// Loads a text; `base` is where its relative paths begin, `variables` are the environment.
///
/// # Errors
/// All errors.
pub fn load_text(
    text: &str,
    name: &str,
    base: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<LoadedConfig, ConfigErrors> {
    let mut errors = Vec::new();
    let mut root = tree::parse(text, &mut errors);
    tree::override_from(variables, &mut root, &mut errors);
    let mut reader = reader::ConfigReader {
        base,
        variables,
        errors,
        effective: String::new(),
        reloadable: ReloadableSettings::default(),
    };
    reader.unknown_names(&root, "");
    let settings = reader.settings(&root);
    match settings {
        Some(settings) if reader.errors.is_empty() => Ok(LoadedConfig {
            settings,
            effective: reader.effective,
        }),
        _ => Err(ConfigErrors::new(name, text, reader.errors)),
    }
}
