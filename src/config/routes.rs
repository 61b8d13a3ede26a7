//! `[[routes]]`: the routes that are written, or else the two default routes.

use std::num::NonZeroU32;

use super::{
    diagnostics::ConfigLocation,
    keys,
    reader::{ConfigReader, Located},
    section::ConfigSection,
    tree::{ConfigItem, ConfigTable, ConfigValue},
};
use crate::{
    json::rules::MemberPath,
    route::{RouteKind, RouteSettings, VideoCheck},
};

/// Maximum of `response.max_string` on a verify route, in bytes. A longer string may be a picture.
const MAX_STRING: u64 = 64 * 1024;

/// The path of the routes in the table of keys.
const PATH: &str = "routes[]";

impl ConfigReader<'_> {
    /// All routes. No body may be larger than `body_memory`.
    pub(super) fn routes(&mut self, root: &ConfigTable, body_memory: u64) -> Vec<RouteSettings> {
        if let Some((location, item)) = root.get("routes")
            && matches!(&item.value, ConfigValue::List(list) if list.is_empty())
        {
            self.error(
                location,
                "`routes` is empty: nothing could be called",
                "leave it out for the two default routes",
            );
        }
        let defaults = [
            default_route("session", "/v2/actionliveness/sessioncode"),
            default_route("verify", "/v2/actionliveness/verify"),
        ];
        let written = ConfigSection::list(root, "routes", PATH);
        let sections = match written.is_empty() {
            true => defaults.iter().map(default_section).collect(),
            false => written,
        };
        let mut routes: Vec<RouteSettings> = Vec::new();
        for section in sections {
            if let Some(route) = self.route(section, &routes, body_memory) {
                routes.push(route);
            }
        }
        routes
    }

    fn route(
        &mut self,
        mut section: ConfigSection<'_>,
        others: &[RouteSettings],
        body_memory: u64,
    ) -> Option<RouteSettings> {
        self.header("[[routes]]");
        let path = self.required(
            &section,
            "path",
            "write the path at Qiniu, like /v2/actionliveness/verify",
        );
        if let Some((path, location)) = &path {
            self.check_path(path, location);
            if others.iter().any(|route| route.path == *path) {
                self.error(
                    location,
                    format!("two routes have the path `{path}`"),
                    "remove one of them",
                );
            }
        }
        let kind = self.kind(&section)?;
        section.kind = Some(kind);
        self.route_of_kind(path, kind, &section, body_memory)
    }

    fn kind(&mut self, section: &ConfigSection<'_>) -> Option<RouteKind> {
        const FORM: &str = "write \"session\", \"verify\" or \"plain\"";
        let (word, location) = self.required(section, "kind", FORM)?;
        let kind = keys::KINDS.into_iter().find(|(known, _)| *known == word);
        if kind.is_none() {
            self.error(&location, format!("`kind` can't be `{word}`"), FORM);
        }
        kind.map(|(_, kind)| kind)
    }

    fn route_of_kind(
        &mut self,
        path: Option<Located<String>>,
        kind: RouteKind,
        section: &ConfigSection<'_>,
        body_memory: u64,
    ) -> Option<RouteSettings> {
        let scope = self.scope(section);
        let max_body = self.max_body(section, body_memory);
        let timeout = self.duration(section, "timeout");
        let rate = self.rate(section, "rate");
        let burst = self.integer(section, "burst");
        let quota = self.rate(section, "quota");
        let concurrent = self.integer(section, "concurrent_per_user");
        let video_check = self.video_check(section, kind);
        let request_fields = self.request_fields(section, kind);
        let request_set = self.pins(section, kind);
        let remove = self.texts(section, "response.remove").unwrap_or_default();
        let remove = remove
            .iter()
            .filter_map(|path| self.member_path(path))
            .collect();
        let max_string = self.max_string(section, kind);
        let scores_hidden = self.scores_hidden(section, kind);
        Some(RouteSettings {
            path: path?.0,
            kind,
            scope,
            max_body: max_body?,
            timeout: timeout?,
            rate,
            burst: NonZeroU32::new(burst?.0)?,
            quota,
            concurrent_per_user: concurrent.and_then(|(count, _)| NonZeroU32::new(count)),
            video_check,
            request_fields,
            request_set,
            remove,
            max_string,
            scores_hidden,
        })
    }

    fn scope(&mut self, section: &ConfigSection<'_>) -> Option<String> {
        let (scope, location) = self.text(section, "scope")?;
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if !scope.bytes().all(fits) {
            self.error(
                &location,
                "a scope is one word",
                "write it without blanks and quotes (RFC 6749 section 3.3)",
            );
        }
        Some(scope)
    }

    fn max_body(&mut self, section: &ConfigSection<'_>, body_memory: u64) -> Option<u64> {
        let (bytes, location) = self.size(section, "max_body")?;
        if bytes > body_memory {
            self.error(
                &location,
                "`max_body` is larger than `server.body_memory`",
                "lower it, or raise `server.body_memory`: no such body could ever be accepted",
            );
        }
        Some(bytes)
    }

    fn video_check(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> VideoCheck {
        let written = section.table.and_then(|table| table.get("video_check"));
        if let Some((location, _)) = written
            && kind != RouteKind::Verify
        {
            self.error(
                location,
                "`video_check` is for verify routes: no other has a video",
                "leave it out",
            );
            return VideoCheck::Off;
        }
        match self.word(section, "video_check").as_deref() {
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
        let fields = self.texts(section, "request.fields")?.into_iter();
        let (fields, locations): (Vec<_>, Vec<_>) = fields.unzip();
        let nonce = fields.iter().position(|field| field == "nonce");
        if let Some(location) = nonce.and_then(|position| locations.get(position))
            && kind == RouteKind::Verify
        {
            self.error(
                location,
                "`nonce` never goes to Qiniu: it is for the verdict",
                "leave it out; a verify route takes it without being listed",
            );
        }
        let needed: &[&str] = match kind {
            RouteKind::Verify => &["session_id", "video_base64"],
            _ => &[],
        };
        for needed in needed {
            if !fields.iter().any(|field| field == needed) {
                self.error(
                    &section.location,
                    format!("`request.fields` of a verify route lacks `{needed}`"),
                    "add it: Qiniu needs it",
                );
            }
        }
        Some(fields)
    }

    fn max_string(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> Option<usize> {
        const HELP: &str = "write at most \"64KiB\", or leave it out for the default";
        let max = self.size(section, "response.max_string");
        if kind == RouteKind::Verify {
            match &max {
                None => self.error(
                    &section.location,
                    "without `response.max_string` a new picture field would reach the frontend",
                    HELP,
                ),
                Some((bytes, location)) if *bytes > MAX_STRING => self.error(
                    location,
                    "`response.max_string` is large enough for a picture",
                    HELP,
                ),
                Some(_) => {}
            }
        }
        usize::try_from(max?.0).ok()
    }

    fn scores_hidden(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> bool {
        let scores = self.word(section, "response.scores");
        if scores.is_some() && kind != RouteKind::Verify {
            self.error(
                &section.location,
                "`response.scores` is for verify routes: no other has scores",
                "leave it out; `response.remove` removes members from any response",
            );
        }
        scores.is_some_and(|scores| scores == "hidden")
    }

    fn member_path(&mut self, (text, location): &Located<String>) -> Option<MemberPath> {
        match MemberPath::parse(text) {
            Ok(path) => Some(path),
            Err(error) => {
                self.error(
                    location,
                    error.to_string(),
                    "write names joined by dots, and `[]` for every element of an array",
                );
                None
            }
        }
    }

    /// Accepts only paths that the signers of all Qiniu SDKs sign in the same way.
    fn check_path(&mut self, path: &str, location: &ConfigLocation) {
        let plain = path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"%?#;\\\"".contains(&byte));
        let segments = path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
        if !plain || !segments {
            self.error(
                location,
                format!("`{path}` is not a plain path"),
                "begin with `/`; no empty or dot segments, no `%`, `?`, `#`, `;`, no blanks",
            );
        } else if path == "/.well-known/jwks.json" {
            let message = "this path is the gateway's own";
            self.error(location, message, "choose another");
        }
    }
}

fn default_route(kind: &str, path: &str) -> ConfigTable {
    let text = |text| {
        (
            ConfigLocation::File,
            ConfigItem::text(text, &ConfigLocation::File),
        )
    };
    ConfigTable::from([("kind".into(), text(kind)), ("path".into(), text(path))])
}

fn default_section(table: &ConfigTable) -> ConfigSection<'_> {
    ConfigSection {
        path: PATH,
        table: Some(table),
        location: ConfigLocation::File,
        kind: None,
    }
}
