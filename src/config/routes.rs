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
    limit::rate::RateLimit,
    route::{Rate, RouteKind, RouteSettings, VideoCheck},
};

/// Qiniu's own routes, and what each of them does.
const QINIU_ROUTES: [(&str, &str, RouteKind); 2] = [
    (SESSION_PATH, "session", RouteKind::Session),
    (VERIFY_PATH, "verify", RouteKind::Verify),
];
const SESSION_PATH: &str = "/v2/actionliveness/sessioncode";
const VERIFY_PATH: &str = "/v2/actionliveness/verify";

/// The path of the routes in the table of keys.
const PATH: &str = "routes[]";

impl ConfigReader<'_> {
    /// All routes. No body may be larger than `body_memory`.
    pub(super) fn routes(
        &mut self,
        root: &ConfigTable,
        body_memory: Option<&Located<u64>>,
    ) -> Vec<RouteSettings> {
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
            default_route("session", SESSION_PATH),
            default_route("verify", VERIFY_PATH),
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
        body_memory: Option<&Located<u64>>,
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
        let (kind, location) = self.kind(&section)?;
        if let Some((path, _)) = &path {
            self.check_kind(path, kind, &location);
        }
        section.kind = Some(kind);
        self.route_of_kind(path, kind, &section, body_memory)
    }

    fn kind(&mut self, section: &ConfigSection<'_>) -> Option<Located<RouteKind>> {
        const FORM: &str = "write \"session\", \"verify\" or \"plain\"";
        let (word, location) = self.required(section, "kind", FORM)?;
        let kind = keys::KINDS.into_iter().find(|(known, _)| *known == word);
        if kind.is_none() {
            self.error(&location, format!("`kind` can't be `{word}`"), FORM);
        }
        kind.map(|(_, kind)| (kind, location))
    }

    /// As another kind, Qiniu's own routes would lose what protects their callers: pictures would
    /// pass, or a billed call would be sent twice.
    fn check_kind(&mut self, path: &str, kind: RouteKind, location: &ConfigLocation) {
        let known = QINIU_ROUTES
            .iter()
            .find(|(known, ..)| path.eq_ignore_ascii_case(known));
        if let Some((_, name, _)) = known.filter(|(.., right)| *right != kind) {
            self.error(
                location,
                format!("`{path}` can only be a {name} route"),
                format!("write kind = \"{name}\""),
            );
        }
    }

    fn route_of_kind(
        &mut self,
        path: Option<Located<String>>,
        kind: RouteKind,
        section: &ConfigSection<'_>,
        body_memory: Option<&Located<u64>>,
    ) -> Option<RouteSettings> {
        let scope = self.scope(section);
        let max_body = self.max_body(section, body_memory);
        let timeout = self.duration(section, "timeout");
        let rate = self.rate(section, "rate");
        let burst = self.integer(section, "burst");
        self.check_burst(rate, burst.as_ref());
        let quota = self.rate(section, "quota");
        let concurrent = self.integer(section, "concurrent_per_user");
        let video_check = self.video_check(section, kind);
        let request_fields = self.request_fields(section, kind);
        let request_set = self.pins(section, kind);
        let response = self.response(section, kind);
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
            response_fields: response.fields,
            remove: response.remove,
            max_string: response.max_string,
            scores_hidden: response.scores_hidden,
        })
    }

    fn check_burst(&mut self, rate: Option<Rate>, burst: Option<&Located<u32>>) {
        let (Some(rate), Some((count, location))) = (rate, burst) else {
            return;
        };
        if NonZeroU32::new(*count).is_some_and(|burst| !RateLimit::is_countable(rate, burst)) {
            self.error(
                location,
                "`burst` is too large for `rate`: it would take over 100 years to come back",
                "lower `burst`, or raise `rate`",
            );
        }
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

    fn max_body(
        &mut self,
        section: &ConfigSection<'_>,
        body_memory: Option<&Located<u64>>,
    ) -> Option<u64> {
        let (bytes, location) = self.size(section, "max_body")?;
        if let Some((memory, memory_location)) = body_memory
            && bytes > *memory
        {
            // Of a route that is not written, nothing can be shown.
            let written = section.written("max_body").map(|_| &location);
            self.error(
                written.unwrap_or(memory_location),
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
