//! One table of the configuration that is being read, whether it is written or not.

use super::{
    diagnostics::ConfigLocation,
    keys,
    tree::{self, ConfigItem, ConfigTable, ConfigValue},
};
use crate::route::RouteKind;

/// A table, by its path in the table of keys.
#[derive(Clone)]
pub(super) struct ConfigSection<'t> {
    pub(super) path: &'static str,
    /// `None`: it is not written, so all its keys have their defaults.
    pub(super) table: Option<&'t ConfigTable>,
    pub(super) location: ConfigLocation,
    /// For a route: its kind, which decides on defaults.
    pub(super) kind: Option<RouteKind>,
}

impl<'t> ConfigSection<'t> {
    /// The section at `path`, such as `server.cors`.
    pub(super) fn at(root: &'t ConfigTable, path: &'static str) -> Self {
        Self {
            path,
            ..Self::find(root, path)
        }
    }

    /// The same for any path. The section does not know its keys.
    pub(super) fn find(root: &'t ConfigTable, path: &str) -> Self {
        let mut section = Self {
            path: "",
            table: Some(root),
            location: ConfigLocation::File,
            kind: None,
        };
        for name in path.split('.') {
            let member = section.table.and_then(|table| table.get(name));
            section.table = match member.map(|(_, item)| &item.value) {
                Some(ConfigValue::Table(table)) => Some(table),
                _ => None,
            };
            section.location = match member {
                Some((location, _)) => location.clone(),
                None => ConfigLocation::File,
            };
        }
        section
    }

    /// The tables of the list `name`, whose path in the table of keys is `path`.
    pub(super) fn list(root: &'t ConfigTable, name: &str, path: &'static str) -> Vec<Self> {
        let list = root.get(name).map(|(_, item)| &item.value);
        let Some(ConfigValue::List(items)) = list else {
            return Vec::new();
        };
        let tables = items.iter().filter_map(|item| match &item.value {
            ConfigValue::Table(table) => Some(Self {
                path,
                table: Some(table),
                location: item.location.clone(),
                kind: None,
            }),
            _ => None,
        });
        tables.collect()
    }

    /// Whether a key is written. `name` has no dots.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// What is written for a key, or else its default at the location of the section.
    pub(super) fn item(&self, name: &str) -> Option<ConfigItem> {
        if let Some(item) = self.written(name) {
            return Some(item.clone());
        }
        let key = keys::find(&keys::join(self.path, name))?;
        match key.default_for(self.kind) {
            "" => None,
            default => tree::parse_value(default, &self.location),
        }
    }

    /// What is written for a key.
    pub(super) fn written(&self, name: &str) -> Option<&'t ConfigItem> {
        let mut table = self.table;
        let mut found = None;
        for step in name.split('.') {
            found = table
                .and_then(|table| table.get(step))
                .map(|(_, item)| item);
            table = match found.map(|item| &item.value) {
                Some(ConfigValue::Table(inner)) => Some(inner),
                _ => None,
            };
        }
        found
    }
}
