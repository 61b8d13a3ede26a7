//! `request.set` of a route: members that are sent to Qiniu with pinned values.

use serde_json::Value as Json;

use super::{
    reader::{ConfigReader, quoted},
    redact,
    section::ConfigSection,
    tree::{ConfigItem, ConfigTable, ConfigValue},
};
use crate::route::RouteKind;

impl ConfigReader<'_> {
    /// The pinned members. A member may also be in `request.fields`: the pin wins.
    pub(super) fn pins(
        &mut self,
        section: &ConfigSection<'_>,
        kind: RouteKind,
    ) -> Vec<(String, Json)> {
        const NAME: &str = "request.set";
        let Some(item) = section.item(NAME) else {
            return Vec::new();
        };
        let ConfigValue::Table(members) = &item.value else {
            self.wrong_type(&item, NAME, "a table like { min_code_length = 2 }");
            return Vec::new();
        };
        let mut pins = Vec::new();
        let mut shown = Vec::new();
        for (name, (location, item)) in members {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if name.is_empty() || !name.bytes().all(plain) {
                self.error(
                    location,
                    format!(
                        "`{}` can't be the name of a pinned member",
                        redact::shown_name(name)
                    ),
                    "write letters, digits, `_` and `-`",
                );
            } else if let Some(pin) = self.pin(kind, name, item) {
                shown.push(match &pin {
                    Json::String(text) => format!("{name} = {}", quoted(text)),
                    other => format!("{name} = {other}"),
                });
                pins.push((name.clone(), pin));
            }
        }
        if !shown.is_empty() {
            self.note(NAME, &format!("{{ {} }}", shown.join(", ")));
        }
        if kind == RouteKind::Session {
            self.check_code_lengths(members);
        }
        pins
    }

    fn pin(&mut self, kind: RouteKind, name: &str, item: &ConfigItem) -> Option<Json> {
        const TEXT: &str = "write a text in quotes";
        let (message, help) = match (kind, name, &item.value) {
            (RouteKind::Verify, "session_id" | "video_base64" | "nonce", _) => {
                ("belongs to the caller and can't be pinned", "remove it")
            }
            (RouteKind::Session, "min_code_length" | "max_code_length", value)
                if !matches!(value, ConfigValue::Integer(1..=3)) =>
            {
                (
                    "must be a whole number from 1 to 3",
                    "Qiniu's codes have one to three actions",
                )
            }
            (RouteKind::Verify, "type_identify" | "face_field", value)
                if !matches!(value, ConfigValue::Text(_)) =>
            {
                ("must be a text", TEXT)
            }
            (_, _, ConfigValue::Text(text)) => return Some(text.as_str().into()),
            (_, _, ConfigValue::Integer(number)) => return Some((*number).into()),
            (_, _, ConfigValue::Boolean(on)) => return Some((*on).into()),
            _ => (
                "can't be pinned to this value",
                "write a text in quotes, a whole number, or true or false",
            ),
        };
        self.error(&item.location, format!("`{name}` {message}"), help);
        None
    }

    fn check_code_lengths(&mut self, members: &ConfigTable) {
        let length = |name| {
            let (location, item) = members.get(name)?;
            match item.value {
                ConfigValue::Integer(number) => Some((location, number)),
                _ => None,
            }
        };
        if let (Some((location, min)), Some((_, max))) =
            (length("min_code_length"), length("max_code_length"))
            && min > max
        {
            self.error(
                location,
                "`min_code_length` is above `max_code_length`, so no code is possible",
                "exchange the two values",
            );
        }
    }
}
