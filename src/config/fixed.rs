//! The keys that can't change while the gateway runs.
//!
//! A new configuration that changes one of them is refused as a whole. An operator rarely changes
//! them: they say where the gateway listens and what it shares with other replicas.

use super::{
    diagnostics::ConfigLocation, reader::ConfigReader, section::ConfigSection, tree::ConfigTable,
};

/// What can't change: a key, or a section with all of its keys.
const FIXED: &[&str] = &[
    "server.listen",
    "admin.listen",
    "sessions.bind",
    "store",
    "audit.path",
];

/// Sections that can't come or go, whatever their keys.
const FIXED_SECTIONS: &[&str] = &["server.tls", "audit"];

const HELP: &str = "restore what it was, or restart the gateway with this file";

impl ConfigReader<'_> {
    /// Rejects what can't change, if a configuration is in use already.
    pub(super) fn reject_fixed(&mut self, root: &ConfigTable) {
        let Some(running) = self.running else { return };
        for path in FIXED {
            for key in self.values.changed_values(running, path) {
                let location = location(root, &key);
                let message = format!("`{key}` can't change while the gateway runs");
                self.error(&location, message, HELP);
            }
        }
        for section in FIXED_SECTIONS {
            let (before, now) = (
                running.has_section(section),
                self.values.has_section(section),
            );
            if before != now {
                let change = if now { "added" } else { "removed" };
                let message = format!("[{section}] can't be {change} while the gateway runs");
                self.error(&location(root, section), message, HELP);
            }
        }
    }
}

/// Where a key is written, or else its section.
fn location(root: &ConfigTable, key: &str) -> ConfigLocation {
    let Some((path, name)) = key.rsplit_once('.') else {
        return ConfigLocation::File;
    };
    let section = ConfigSection::find(root, path);
    match section.written(name) {
        Some(item) => item.location.clone(),
        None => section.location,
    }
}
