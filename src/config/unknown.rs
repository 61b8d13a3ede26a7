//! Finds names that no key has, and suggests the key that was meant.

use super::{
    keys,
    reader::ConfigReader,
    redact,
    tree::{ConfigTable, ConfigValue},
};

impl ConfigReader<'_> {
    /// Reports every name that no key has, and every section of the wrong form.
    pub(super) fn reject_unknown_names(&mut self, table: &ConfigTable, section: &str) {
        for (name, (location, item)) in table {
            let path = keys::join(section, name);
            match &item.value {
                _ if keys::find(&path).is_some() => {}
                ConfigValue::List(items) if keys::is_list(&path) => {
                    for item in items {
                        match &item.value {
                            ConfigValue::Table(inner) => {
                                self.reject_unknown_names(inner, &format!("{path}[]"));
                            }
                            _ => self.error(
                                &item.location,
                                format!("`{name}` contains something that is not a table"),
                                format!("write [[{name}]]"),
                            ),
                        }
                    }
                }
                _ if keys::is_list(&path) => self.error(
                    location,
                    format!("`{name}` is a list of tables"),
                    format!("write [[{name}]]"),
                ),
                ConfigValue::Table(inner) if keys::is_section(&path) => {
                    self.reject_unknown_names(inner, &path);
                }
                _ if keys::is_section(&path) => self.error(
                    location,
                    format!("`{name}` is a section"),
                    format!("write [{path}]"),
                ),
                _ => {
                    let help = match keys::closest(section, name) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("known here: {}", keys::names_below(section).join(", ")),
                    };
                    let shown = redact::shown_name(name);
                    self.error(location, format!("unknown key `{shown}`"), help);
                }
            }
        }
    }
}
