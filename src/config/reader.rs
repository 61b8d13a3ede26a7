//! Reads values out of the written tree: the right type or a mistake with its place and mend, the default where there is
//! none. What was read is put down as the effective configuration.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    diagnostics::{Mistake, Place},
    keys,
    secret::Secret,
    tree::{Item, Table, Value},
    units,
};
use crate::limit::Rate;

/// Bytes of a secret's file at the most.
const MAX_SECRET: u64 = 64 * 1024;

/// A value and where it came from; a default's place is its section's.
pub(super) type Placed<T> = (T, Place);

/// Reads one configuration.
pub(super) struct Reader<'a> {
    pub(super) base: &'a Path,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) effective: String,
}

/// A table that is read, by its path in the key table.
#[derive(Clone)]
pub(super) struct Section<'t> {
    pub(super) path: &'static str,
    pub(super) table: Option<&'t Table>,
    pub(super) place: Place,
    /// For a route: its kind, which decides defaults.
    pub(super) kind: &'t str,
}

impl<'a> Reader<'a> {
    pub(super) fn mistake(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.mistakes.push(Mistake {
            place: place.clone(),
            message: message.into(),
            mend: mend.into(),
        });
    }

    pub(super) fn header(&mut self, header: &str) {
        if !self.effective.is_empty() {
            self.effective.push('\n');
        }
        self.effective.push_str(header);
        self.effective.push('\n');
    }

    fn note(&mut self, name: &str, shown: &str) {
        self.effective.push_str(&format!("{name} = {shown}\n"));
    }

    /// The item of a key, or its default; `None` where there is neither.
    fn item(&mut self, section: &Section<'_>, name: &str) -> Option<Item> {
        let item = name.split('.').try_fold(None::<&Item>, |found, step| {
            let table = match found {
                None => section.table,
                Some(Item {
                    value: Value::Table(table),
                    ..
                }) => Some(table),
                Some(_) => None,
            };
            table
                .and_then(|table| table.get(step))
                .map(|(_, item)| Some(item))
        });
        if let Some(item) = item.flatten() {
            return Some(item.clone());
        }
        let path = format!("{}.{name}", section.path);
        let default = match keys::find(&path).map_or("", |key| key.default) {
            "" => keys::route_default(section.kind, name),
            default => default,
        };
        let parsed = (!default.is_empty()).then(|| toml::de::DeValue::parse(default).ok())??;
        Some(Item {
            value: plain(parsed.get_ref()),
            place: section.place.clone(),
        })
    }

    /// An optional text; an empty one counts as absent.
    pub(super) fn text(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<String>> {
        let item = self.item(section, name)?;
        let Value::Text(text) = item.value else {
            self.wrong_type(&item, name, "a text in quotes");
            return None;
        };
        self.note(name, &quoted(&text));
        (!text.is_empty()).then_some((text, item.place))
    }

    /// A text that must be there.
    pub(super) fn required(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
        mend: &str,
    ) -> Option<Placed<String>> {
        let there = self.item(section, name).is_some();
        let text = self.text(section, name);
        if !there || (text.is_none() && self.is_empty_text(section, name)) {
            self.mistake(&section.place, format!("`{name}` is missing"), mend);
        }
        text
    }

    fn is_empty_text(&mut self, section: &Section<'_>, name: &str) -> bool {
        matches!(self.item(section, name), Some(Item { value: Value::Text(text), .. }) if text.is_empty())
    }

    fn refuse_empty(&mut self, section: &Section<'_>, name: &str, wanted: &str) {
        if let Some(Item {
            value: Value::Text(text),
            place,
        }) = self.item(section, name)
            && text.is_empty()
        {
            self.mistake(
                &place,
                format!("`{name}` is empty"),
                format!("write {wanted}, or leave it out"),
            );
        }
    }

    pub(super) fn word(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
        words: &[&str],
    ) -> Option<String> {
        let wanted = format!("one of: {}", words.join(", "));
        let Some((word, place)) = self.text(section, name) else {
            self.refuse_empty(section, name, &wanted);
            return None;
        };
        if words.contains(&word.as_str()) {
            return Some(word);
        }
        self.mistake(
            &place,
            format!("`{name}` can't be `{word}`"),
            format!("write {wanted}"),
        );
        None
    }

    /// A list; one text counts as a list of it. `None`: absent.
    pub(super) fn texts(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Vec<Placed<String>>> {
        let item = self.item(section, name)?;
        let items = match item.value {
            Value::List(items) => items,
            _ => vec![item],
        };
        let mut texts = Vec::new();
        for item in items {
            match item.value {
                Value::Text(text) => texts.push((text, item.place)),
                _ => self.wrong_type(&item, name, "a text in quotes, or a list of them"),
            }
        }
        let shown: Vec<_> = texts.iter().map(|(text, _)| quoted(text)).collect();
        self.note(name, &format!("[{}]", shown.join(", ")));
        Some(texts)
    }

    pub(super) fn count(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<u32>> {
        let item = self.item(section, name)?;
        let count = match item.value {
            Value::Integer(number) => u32::try_from(number).ok().filter(|number| *number > 0),
            _ => None,
        };
        match count {
            Some(count) => self.note(name, &count.to_string()),
            None => self.wrong_type(&item, name, "a whole number from 1 to 4294967295"),
        }
        Some((count?, item.place))
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<f64>> {
        const WANTED: &str = "a number from 0.0 to 1.0";
        let item = self.item(section, name)?;
        let number = match item.value {
            Value::Fraction(number) => number,
            Value::Integer(number) => number as f64,
            _ => {
                self.wrong_type(&item, name, WANTED);
                return None;
            }
        };
        // A NaN is in no range.
        if !(0.0..=1.0).contains(&number) {
            self.mistake(
                &item.place,
                format!("`{name}` is out of range"),
                format!("write {WANTED}"),
            );
            return None;
        }
        self.note(name, &format!("{number:?}"));
        Some((number, item.place))
    }

    pub(super) fn bool(&mut self, section: &Section<'_>, name: &'static str) -> bool {
        match self.item(section, name) {
            Some(Item {
                value: Value::Bool(on),
                ..
            }) => {
                self.note(name, &on.to_string());
                on
            }
            Some(item) => {
                self.wrong_type(&item, name, "true or false");
                false
            }
            None => false,
        }
    }

    pub(super) fn size(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<u64>> {
        self.unit(
            section,
            name,
            units::size,
            "a size like \"28MiB\" (B, KiB, MiB, GiB), above zero",
        )
    }

    /// At most an hour: a longer wait is a mistake, or an attack that is let in.
    pub(super) fn duration(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Duration> {
        let (time, place) = self.unit(
            section,
            name,
            units::duration,
            "a duration like \"30s\" (ms, s, min, h), above zero",
        )?;
        if time > Duration::from_secs(3600) {
            self.mistake(
                &place,
                format!("`{name}` is longer than an hour"),
                "write at most \"1h\"",
            );
        }
        Some(time)
    }

    pub(super) fn rate(&mut self, section: &Section<'_>, name: &'static str) -> Option<Rate> {
        self.unit(
            section,
            name,
            units::rate,
            "a rate like \"10/min\" (s, min, h, day)",
        )
        .map(|(rate, _)| rate)
    }

    fn unit<T>(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Option<Placed<T>> {
        let Some((text, place)) = self.text(section, name) else {
            // These two alone can be switched off.
            if !matches!(name, "rate" | "response.max_string") {
                self.refuse_empty(section, name, wanted);
            }
            return None;
        };
        match parse(&text) {
            Some(value) => Some((value, place)),
            None => {
                self.mistake(
                    &place,
                    format!("`{name}` can't be `{text}`"),
                    format!("write {wanted}"),
                );
                None
            }
        }
    }

    /// A path, made absolute from the file's own folder.
    pub(super) fn path(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<PathBuf>> {
        self.text(section, name)
            .map(|(text, place)| (self.base.join(text), place))
    }

    pub(super) fn file(&mut self, (path, place): &Placed<PathBuf>) -> Option<Vec<u8>> {
        match fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.mistake(
                    place,
                    format!("{} can't be read: {error}", path.display()),
                    "name a file that this user may read",
                );
                None
            }
        }
    }

    /// A secret, which must be there.
    pub(super) fn secret(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<Secret>> {
        const FORM: &str = "write { env = \"NAME\" } or { file = \"/run/secrets/name\" }; a secret never stands in this file";
        let Some(item) = self.item(section, name) else {
            self.mistake(&section.place, format!("`{name}` is missing"), FORM);
            return None;
        };
        let Value::Table(table) = &item.value else {
            self.mistake(
                &item.place.clone().hidden(),
                format!("`{name}` must say where the secret is"),
                FORM,
            );
            return None;
        };
        let found: Vec<_> = table.iter().collect();
        let (source, place, text) = match found.as_slice() {
            [
                (
                    source,
                    (
                        _,
                        Item {
                            value: Value::Text(text),
                            place,
                        },
                    ),
                ),
            ] if matches!(source.as_str(), "env" | "file") => (*source, place, text),
            _ => {
                self.mistake(
                    &item.place.clone().hidden(),
                    format!("`{name}` must have exactly one of `env` and `file`"),
                    FORM,
                );
                return None;
            }
        };
        self.note(name, &format!("{{ {source} = {} }} # ***", quoted(text)));
        let bytes = if source == "env" {
            self.variable_secret(text, place)
        } else {
            self.file_secret(text, place)
        }?;
        let bytes = bytes
            .strip_suffix(b"\n")
            .map(|cut| cut.strip_suffix(b"\r").unwrap_or(cut))
            .unwrap_or(&bytes);
        if bytes.is_empty() {
            self.mistake(
                place,
                format!("the secret in {source} `{text}` is empty"),
                "give it its value",
            );
            return None;
        }
        Some((Secret::new(bytes), place.clone()))
    }

    fn variable_secret(&mut self, name: &str, place: &Place) -> Option<Vec<u8>> {
        let value = self
            .variables
            .get(name)
            .map(|value| value.clone().into_bytes());
        if value.is_none() {
            self.mistake(
                place,
                format!("the environment variable `{name}` is not set"),
                "set it for this process, or name another",
            );
        }
        value
    }

    fn file_secret(&mut self, text: &str, place: &Place) -> Option<Vec<u8>> {
        let path = self.base.join(text);
        if fs::metadata(&path).is_ok_and(|about| about.len() > MAX_SECRET) {
            self.mistake(
                place,
                format!("{} is too large for a secret", path.display()),
                "name a file of at most 64 KiB",
            );
            return None;
        }
        self.file(&(path, place.clone()))
    }

    fn wrong_type(&mut self, item: &Item, name: &str, wanted: &str) {
        let is = match &item.value {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a number",
            Value::Fraction(_) => "a number with a fraction",
            Value::Bool(_) => "true or false",
            Value::Other(name) => name,
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        };
        self.mistake(
            &item.place,
            format!("`{name}` can't be {is}"),
            format!("write {wanted}"),
        );
    }

    /// Finds every name that no key has.
    pub(super) fn unknown_names(&mut self, table: &Table, section: &str) {
        for (name, (place, item)) in table {
            let path = if section.is_empty() {
                name.clone()
            } else {
                format!("{section}.{name}")
            };
            match (&item.value, keys::find(&path)) {
                (_, Some(_)) => {}
                (Value::Table(inner), None) if keys::is_section(&path) && !keys::is_list(&path) => {
                    self.unknown_names(inner, &path)
                }
                (Value::List(items), None) if keys::is_list(&path) => {
                    for item in items {
                        match &item.value {
                            Value::Table(inner) => self.unknown_names(inner, &format!("{path}[]")),
                            _ => self.mistake(
                                &item.place,
                                format!("`{name}` holds something that is not a table"),
                                format!("write [[{name}]]"),
                            ),
                        }
                    }
                }
                _ if keys::is_list(&path) => self.mistake(
                    place,
                    format!("`{name}` is a list of tables"),
                    format!("write [[{name}]]"),
                ),
                _ if keys::is_section(&path) => self.mistake(
                    place,
                    format!("`{name}` is a section"),
                    format!("write [{path}]"),
                ),
                _ => {
                    let known = keys::names_below(section);
                    let close = known.iter().find(|known| distance(known, name) <= 2);
                    let mend = match close {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("known here: {}", known.join(", ")),
                    };
                    let place = match keys::seems_secret(name) {
                        true => &item.place.clone().hidden(),
                        false => place,
                    };
                    self.mistake(place, format!("unknown key `{name}`"), mend);
                }
            }
        }
    }
}

fn plain(value: &toml::de::DeValue<'_>) -> Value {
    let text =
        |value: &toml::de::DeValue<'_>| value.as_str().map(str::to_owned).unwrap_or_default();
    match value {
        toml::de::DeValue::Integer(number) => {
            Value::Integer(number.as_str().parse().unwrap_or_default())
        }
        toml::de::DeValue::Float(number) => {
            Value::Fraction(number.as_str().parse().unwrap_or_default())
        }
        toml::de::DeValue::Boolean(on) => Value::Bool(*on),
        toml::de::DeValue::Array(list) => Value::List(
            list.iter()
                .map(|part| Item {
                    value: Value::Text(text(part.get_ref())),
                    place: Place::File(0..0),
                })
                .collect(),
        ),
        other => Value::Text(text(other)),
    }
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
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
