//! The table of all configuration keys: the single source of their types, defaults, limits and
//! descriptions.
//!
//! The reader, the check for unknown keys, overrides, `check --print`, `schema` and the generated
//! parts of `docs/configuration.md` and `config/gateway.toml` all use this table. The rows are in
//! `server`, `trust`, `audit` and `routes`. Never holds a limit that depends on another key.

mod audit;
mod routes;
mod server;
mod trust;

use crate::route::RouteKind;

/// The algorithms that `identity.algorithms` may list.
pub(super) const ALGORITHMS: &[&str] = &[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "Ed25519", "EdDSA",
];

/// The words of `routes.kind`, in the order of [`KeyDefault::ByKind`].
pub(super) const KINDS: [(&str, RouteKind); 3] = [
    ("session", RouteKind::Session),
    ("verify", RouteKind::Verify),
    ("plain", RouteKind::Plain),
];

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text or a list of texts.
    TextList,
    /// A whole number above zero.
    Integer,
    /// A number from 0.0 to 1.0.
    Fraction,
    /// `true` or `false`.
    Boolean,
    /// `"28MiB"`
    Size(Limits),
    /// The same; empty: none.
    OptionalSize,
    /// `"30s"`
    Duration(Limits),
    /// The same; empty: none.
    OptionalDuration(Limits),
    /// `"10/min"`; empty: none.
    Rate,
    /// A table of texts, whole numbers and booleans, under names that the operator chooses.
    Members,
    /// `{ env = "NAME" }` or `{ file = "PATH" }`
    Secret,
}

/// The inclusive limits of a value, as they would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) min: &'static str,
    /// Empty: no maximum.
    pub(super) max: &'static str,
}

/// The value of a key that is not written. Values are TOML; `""` stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyDefault {
    /// The key must be written, where its section is.
    Required,
    /// There is no value; the description says what that means.
    Unset,
    /// The same value everywhere.
    Value(&'static str),
    /// One value for each kind of route: session, verify, plain.
    ByKind([&'static str; 3]),
}

/// One row of the table.
pub(super) struct ConfigKey {
    /// The dotted path; `[]` follows the name of a list of tables.
    pub(super) path: &'static str,
    pub(super) value_type: ValueType,
    pub(super) default: KeyDefault,
    /// What the value is, its unit and its effect, in Markdown.
    pub(super) description: &'static str,
}

impl ValueType {
    /// A size above zero.
    const SIZE: Self = Self::size("1B", "");
    /// A duration above zero. A wait of more than an hour is a mistake, or lets an attacker in.
    const DURATION: Self = Self::duration("1ms", "1h");

    const fn size(min: &'static str, max: &'static str) -> Self {
        Self::Size(Limits { min, max })
    }

    const fn duration(min: &'static str, max: &'static str) -> Self {
        Self::Duration(Limits { min, max })
    }
}

impl ConfigKey {
    /// The default as TOML, for a route of `kind` or for any other section; empty: none.
    pub(super) fn default_for(&self, kind: Option<RouteKind>) -> &'static str {
        match self.default {
            KeyDefault::Required | KeyDefault::Unset => "",
            KeyDefault::Value(text) => text,
            KeyDefault::ByKind(texts) => {
                let position = KINDS.iter().position(|(_, known)| Some(*known) == kind);
                let text = position.and_then(|position| texts.get(position));
                text.copied().unwrap_or_default()
            }
        }
    }

    /// The description with what a table of the reference shows in columns of its own: limits, and
    /// defaults that depend on the kind of route.
    pub(super) fn full_description(&self) -> String {
        let mut text = self.description.to_owned();
        if let Some(Limits { min, max }) = self.own_limits() {
            text.push_str(&format!(" From `{min}` to `{max}`."));
        }
        match self.default {
            KeyDefault::Required => text.push_str(" Required."),
            KeyDefault::ByKind(defaults) => {
                let kinds = KINDS.iter().zip(defaults);
                let defaults = kinds
                    .filter(|(_, default)| !default.is_empty())
                    .map(|((kind, _), default)| format!("{default} ({kind})"));
                let defaults: Vec<_> = defaults.collect();
                text.push_str(&format!(" Default: {}.", defaults.join(", ")));
            }
            KeyDefault::Unset | KeyDefault::Value(_) => {}
        }
        text
    }

    /// The limits, where they are not those that every value of the type has.
    pub(super) fn own_limits(&self) -> Option<Limits> {
        match self.value_type {
            ValueType::SIZE | ValueType::DURATION => None,
            ValueType::Size(limits)
            | ValueType::Duration(limits)
            | ValueType::OptionalDuration(limits) => Some(limits),
            _ => None,
        }
    }
}

/// All keys, in the order in which they are shown.
pub(super) fn all() -> impl Iterator<Item = &'static ConfigKey> {
    let tables = [
        server::KEYS,
        trust::IDENTITY,
        trust::RESULTS,
        server::LOG,
        audit::KEYS,
        server::TELEMETRY,
        routes::KEYS,
    ];
    tables.into_iter().flatten()
}

/// The key at `path`, if there is one.
pub(super) fn find(path: &str) -> Option<&'static ConfigKey> {
    all().find(|key| key.path == path)
}

/// Whether keys exist below `path`.
pub(super) fn is_section(path: &str) -> bool {
    all().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]."))
    })
}

/// Whether `path` is a list of tables.
pub(super) fn is_list(path: &str) -> bool {
    all().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with("[]."))
    })
}

/// The names that may be written directly below `section` (empty: at the top).
pub(super) fn names_below(section: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = all()
        .filter_map(|key| match section {
            "" => Some(key.path),
            _ => key.path.strip_prefix(section)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split(['.', '[']).next())
        .collect();
    names.dedup();
    names
}

/// The name below `section` that differs from `name` by at most two letters.
pub(super) fn closest(section: &str, name: &str) -> Option<&'static str> {
    let names = names_below(section).into_iter();
    let ranked = names.map(|known| (distance(known, name), known));
    let (distance, known) = ranked.min()?;
    (distance <= 2).then_some(known)
}

/// `routes[]` and `rate` → `routes[].rate`
pub(super) fn join(section: &str, name: &str) -> String {
    match section {
        "" => name.into(),
        _ => format!("{section}.{name}"),
    }
}

/// The number of letters that have to change (Levenshtein distance).
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

const fn key(
    path: &'static str,
    value_type: ValueType,
    default: KeyDefault,
    description: &'static str,
) -> ConfigKey {
    ConfigKey {
        path,
        value_type,
        default,
        description,
    }
}
