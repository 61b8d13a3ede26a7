//! Names that no key has: a typo is an error, with the name that was meant where one is close.

use super::{
    keys,
    reader::ConfigReader,
    tree::{ConfigTable, ConfigValue},
};

impl ConfigReader<'_> {
    /// Finds every name that no key has.
    pub(super) fn unknown_names(&mut self, table: &ConfigTable, section: &str) {
        for (name, (place, item)) in table {
            let path = if section.is_empty() {
                name.clone()
            } else {
                format!("{section}.{name}")
            };
            match (&item.value, keys::find(&path)) {
                (_, Some(_)) => {}
                (ConfigValue::Table(inner), None)
                    if keys::is_section(&path) && !keys::is_list(&path) =>
                {
                    self.unknown_names(inner, &path)
                }
                (ConfigValue::List(items), None) if keys::is_list(&path) => {
                    for item in items {
                        match &item.value {
                            ConfigValue::Table(inner) => {
                                self.unknown_names(inner, &format!("{path}[]"))
                            }
                            _ => self.error(
                                &item.place,
                                format!("`{name}` holds something that is not a table"),
                                format!("write [[{name}]]"),
                            ),
                        }
                    }
                }
                _ if keys::is_list(&path) => self.error(
                    place,
                    format!("`{name}` is a list of tables"),
                    format!("write [[{name}]]"),
                ),
                _ if keys::is_section(&path) => self.error(
                    place,
                    format!("`{name}` is a section"),
                    format!("write [{path}]"),
                ),
                _ => {
                    let known = keys::names_below(section);
                    let close = known.iter().find(|known| distance(known, name) <= 2);
                    let help = match close {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("known here: {}", known.join(", ")),
                    };
                    let place = match keys::seems_secret(name) {
                        true => &item.place.clone().hidden(),
                        false => place,
                    };
                    self.error(place, format!("unknown key `{name}`"), help);
                }
            }
        }
    }
}

/// How many letters have to change.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<_> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, letter) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let change = (diagonal + usize::from(letter != *other))
                .min(*cell + 1)
                .min(before + 1);
            (diagonal, before, *cell) = (*cell, change, change);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
