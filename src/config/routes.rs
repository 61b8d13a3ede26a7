//! `[[routes]]`: the two default routes when none is given, and a default for every key that is left out.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::{
    checked::sections,
    diagnostics::ConfigLocation,
    keys,
    reader::{ConfigReader, ConfigSection, Located},
    tree::{ConfigItem, ConfigTable, ConfigValue},
};
use crate::{
    json::rules::MemberPath,
    route::{RouteKind, RouteSettings, VideoCheck},
};

/// A longer string of an answer to `verify` may well be a picture.
const MAX_STRING: u64 = 64 * 1024;
const KINDS: [&str; 3] = ["session", "verify", "plain"];

impl ConfigReader<'_> {
    pub(super) fn routes(&mut self, root: &ConfigTable, body_memory: u64) -> Vec<RouteSettings> {
        if let Some((
            place,
            ConfigItem {
                value: ConfigValue::List(list),
                ..
            },
        )) = root.get("routes")
            && list.is_empty()
        {
            self.error(
                place,
                "`routes` is empty: nothing could be called",
                "leave it out for the two routes of Qiniu",
            );
        }
        let defaults = [
            default_route("session", "/v2/actionliveness/sessioncode"),
            default_route("verify", "/v2/actionliveness/verify"),
        ];
        let written = sections(root, "routes", "routes[]");
        let sections = match written.is_empty() {
            true => defaults
                .iter()
                .map(|table| ConfigSection {
                    path: "routes[]",
                    table: Some(table),
                    place: ConfigLocation::File(0..0),
                    kind: "",
                })
                .collect(),
            false => written,
        };
        let mut routes: Vec<RouteSettings> = Vec::new();
        for section in sections {
            if let Some(route) = self.one_route(&section, &routes, body_memory) {
                routes.push(route);
            }
        }
        routes
    }

    fn one_route(
        &mut self,
        section: &ConfigSection<'_>,
        others: &[RouteSettings],
        body_memory: u64,
    ) -> Option<RouteSettings> {
        self.header("[[routes]]");
        let path = self.required(
            section,
            "path",
            "write the path that Qiniu has, like /v2/actionliveness/verify",
        );
        if let Some((path, place)) = &path {
            self.check_path(path, place);
            if others.iter().any(|route| route.path == *path) {
                self.error(
                    place,
                    format!("two routes have the path `{path}`"),
                    "remove one of them",
                );
            }
        }
        const KIND: &str = "write \"session\", \"verify\" or \"plain\"";
        let (kind, place) = self.required(section, "kind", KIND)?;
        let Some(kind) = KINDS.into_iter().find(|known| *known == kind) else {
            self.error(&place, format!("`kind` can't be `{kind}`"), KIND);
            return None;
        };
        let section = ConfigSection {
            kind,
            ..section.clone()
        };
        let route = self.route(&section, body_memory);
        Some(RouteSettings {
            path: path?.0,
            ..route?
        })
    }

    fn route(&mut self, section: &ConfigSection<'_>, body_memory: u64) -> Option<RouteSettings> {
        let kind = match section.kind {
            "session" => RouteKind::Session,
            "verify" => RouteKind::Verify,
            _ => RouteKind::Plain,
        };
        let scope = self.text(section, "scope");
        if let Some((scope, place)) = &scope
            && !scope
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        {
            self.error(
                place,
                "a scope is one word",
                "write it without blanks and quotes (RFC 6749 section 3.3)",
            );
        }
        let max_body = self.size(section, "max_body");
        if let Some((bytes, place)) = &max_body
            && *bytes > body_memory
        {
            self.error(
                place,
                "`max_body` is larger than `server.body_memory`",
                "no such body could ever be taken: lower it, or raise `server.body_memory`",
            );
        }
        let timeout = self.duration(section, "timeout");
        let rate = self.rate(section, "rate");
        let burst = self.count(section, "burst");
        let quota = self.rate(section, "quota");
        let concurrent = self.count(section, "concurrent_per_user");
        let video_check = self.video_check(section, kind);
        let request_fields = self.request_fields(section, kind);
        let request_set = self.pins(section, kind);
        let remove = self.texts(section, "response.remove").unwrap_or_default();
        let remove = remove
            .iter()
            .filter_map(|pointer| self.pointer(pointer))
            .collect();
        let max_string = self.size(section, "response.max_string");
        self.check_max_string(section, kind, max_string.as_ref());
        let scores_hidden = self.scores_hidden(section, kind);
        Some(RouteSettings {
            path: String::new(),
            kind,
            scope: scope.map(|(scope, _)| scope),
            max_body: max_body?.0,
            timeout: timeout?,
            rate,
            burst: NonZeroU32::new(burst?.0)?,
            quota,
            concurrent_per_user: concurrent.and_then(|(count, _)| NonZeroU32::new(count)),
            video_check,
            request_fields,
            request_set,
            remove,
            max_string: max_string.and_then(|(bytes, _)| usize::try_from(bytes).ok()),
            scores_hidden,
        })
    }

    fn video_check(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> VideoCheck {
        let written = section
            .table
            .and_then(|table| table.get("video_check"))
            .map(|(place, _)| place.clone());
        if let Some(place) = written
            && kind != RouteKind::Verify
        {
            self.error(
                &place,
                "`video_check` stands on a route without a video",
                "leave it to the routes of kind \"verify\"",
            );
            return VideoCheck::Off;
        }
        match self
            .word(section, "video_check", keys::VIDEO_CHECKS)
            .as_deref()
        {
            Some("report") => VideoCheck::Report,
            Some("enforce") => VideoCheck::Enforce,
            _ => VideoCheck::Off,
        }
    }

    fn request_fields(
        &mut self,
        section: &ConfigSection<'_>,
        kind: RouteKind,
    ) -> Option<Vec<String>> {
        let fields: Vec<_> = self
            .texts(section, "request.fields")?
            .into_iter()
            .map(|(field, _)| field)
            .collect();
        let needed: &[&str] = if kind == RouteKind::Verify {
            &["session_id", "video_base64"]
        } else {
            &[]
        };
        for needed in needed {
            if !fields.iter().any(|field| field == needed) {
                self.error(
                    &section.place,
                    format!("`request.fields` of a verify route lacks `{needed}`"),
                    "add it: Qiniu needs it",
                );
            }
        }
        Some(fields)
    }

    fn check_max_string(
        &mut self,
        section: &ConfigSection<'_>,
        kind: RouteKind,
        max: Option<&Located<u64>>,
    ) {
        if kind != RouteKind::Verify {
            return;
        }
        let (message, place) = match max {
            None => (
                "without `response.max_string` a new picture field would reach the frontend",
                &section.place,
            ),
            Some((bytes, place)) if *bytes > MAX_STRING => {
                ("`response.max_string` is large enough for a picture", place)
            }
            Some(_) => return,
        };
        self.error(
            place,
            message,
            "write at most \"64KiB\", or leave it out for \"4KiB\"",
        );
    }

    fn scores_hidden(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> bool {
        let scores = self.word(section, "response.scores", keys::SCORES);
        if scores.is_some() && kind != RouteKind::Verify {
            self.error(
                &section.place,
                "`response.scores` is for verify routes: no other has scores",
                "leave it out; `response.remove` takes members out of any answer",
            );
        }
        scores.is_some_and(|scores| scores == "hidden")
    }

    fn pointer(&mut self, (text, place): &Located<String>) -> Option<MemberPath> {
        match MemberPath::parse(text) {
            Ok(pointer) => Some(pointer),
            Err(why) => {
                self.error(
                    place,
                    why,
                    "write names joined by dots, and `[]` for every element of an array",
                );
                None
            }
        }
    }

    /// Only paths that every signer of Qiniu's SDKs signs in the same way.
    fn check_path(&mut self, path: &str, place: &ConfigLocation) {
        let plain = path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"%?#;\\\"".contains(&byte));
        let segments = path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
        if !plain || !segments {
            self.error(
                place,
                format!("`{path}` is not a plain path"),
                "begin with `/`; no empty or dot segments, no `%`, `?`, `#`, `;`, no blanks",
            );
        } else if path == "/.well-known/jwks.json" {
            self.error(place, "this path is the gateway's own", "choose another");
        }
    }
}

fn default_route(kind: &str, path: &str) -> ConfigTable {
    let place = ConfigLocation::File(0..0);
    let text = |text: &str| {
        (
            place.clone(),
            ConfigItem {
                value: ConfigValue::Text(text.into()),
                place: place.clone(),
            },
        )
    };
    BTreeMap::from([
        ("kind".to_owned(), text(kind)),
        ("path".to_owned(), text(path)),
    ])
}
