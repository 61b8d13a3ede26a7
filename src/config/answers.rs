//! `response.*` of a route: what of Qiniu's response may pass.
//!
//! Relies on [`crate::json`] for paths of members. Never accepts a configuration under which a
//! picture, or an id of a face, could pass on a `verify` route.

use super::{
    diagnostics::ConfigLocation, reader::ConfigReader, section::ConfigSection, tree::ConfigValue,
};
use crate::{
    json::rules::{MemberPath, PathStep},
    route::RouteKind,
};

/// Maximum of `response.max_string` on a verify route, in bytes. A longer string may be a picture.
const MAX_STRING: u64 = 4 * 1024;
/// Everything, as an entry of `response.fields`.
const EVERYTHING: &str = "*";
/// Members of a picture that must not pass: the picture itself, and what names its face.
const PICTURE_MEMBERS: [&str; 3] = ["pic", "face_token", "face_id"];
/// Where the pictures of a response to `verify` are. Brackets do not count: a path may be written
/// for another shape than that of Qiniu's responses.
const PICTURES: [&[&str]; 2] = [&["result", "best_image"], &["result", "pic_list"]];
/// Without this member, no `verify` can follow.
const SESSION_ID: &str = "result.session_id";

const PATH_HELP: &str = "write names joined by dots, and `[]` for every element of an array";
const MAX_STRING_HELP: &str = "write at most \"4KiB\", or leave it out for the default";

/// `response.*` of one route.
pub(super) struct ResponseSettings {
    /// What may pass; `None`: everything.
    pub(super) fields: Option<Vec<MemberPath>>,
    pub(super) remove: Vec<MemberPath>,
    pub(super) max_string: Option<usize>,
    pub(super) scores_hidden: bool,
}

impl ConfigReader<'_> {
    pub(super) fn response(
        &mut self,
        section: &ConfigSection<'_>,
        kind: RouteKind,
    ) -> ResponseSettings {
        ResponseSettings {
            fields: self.fields(section, kind),
            remove: self.remove(section, kind),
            max_string: self.max_string(section, kind),
            scores_hidden: self.scores_hidden(section, kind),
        }
    }

    fn fields(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> Option<Vec<MemberPath>> {
        const NAME: &str = "response.fields";
        let written = self.texts(section, NAME)?;
        self.reject_empty_list(
            section,
            NAME,
            "`response.fields` is empty: nothing of a response would pass",
            "name what may pass, or leave it out for the default",
        );
        if let Some((_, location)) = written.iter().find(|(text, _)| text == EVERYTHING) {
            if kind == RouteKind::Verify {
                let message = "`*` would let pictures of faces pass on a verify route";
                self.error(location, message, "name the members that may pass");
            } else if written.len() > 1 {
                let message = "`*` is everything: the other paths have no effect";
                self.error(location, message, "remove it, or the other paths");
            }
            return None;
        }
        let mut fields = Vec::new();
        for (text, location) in &written {
            if text.contains(EVERYTHING) {
                self.error(
                    location,
                    format!("`{text}` can't contain `*`"),
                    "name the object or array itself: all that is in it passes",
                );
            } else if let Some(path) = self.member_path(text, location) {
                if kind == RouteKind::Verify {
                    self.reject_picture(&path, location);
                }
                fields.push(path);
            }
        }
        if kind == RouteKind::Session && !written.is_empty() {
            self.require_session_id(section, &fields);
        }
        Some(fields)
    }

    /// Rejects a path at which a picture is, or may be tomorrow.
    fn reject_picture(&mut self, path: &MemberPath, location: &ConfigLocation) {
        let names: Vec<_> = path.steps().iter().filter_map(name).collect();
        if PICTURES.iter().any(|picture| picture.starts_with(&names)) {
            self.error(
                location,
                format!("`{path}` has pictures of faces in it"),
                "name the members in it that may pass, such as `result.pic_list[].quality`",
            );
        } else if names.iter().any(|name| PICTURE_MEMBERS.contains(name)) {
            self.error(
                location,
                format!("`{path}` would let a picture, or an id of a face, pass"),
                "leave it out; [evidence] delivers pictures to the app's backend",
            );
        }
    }

    fn require_session_id(&mut self, section: &ConfigSection<'_>, fields: &[MemberPath]) {
        let Ok(needed) = MemberPath::parse(SESSION_ID) else {
            return;
        };
        if !fields.iter().any(|path| path.covers(&needed)) {
            self.error(
                &section.location,
                format!("`response.fields` of a session route lacks `{SESSION_ID}`"),
                "add it: a frontend needs it for the verify",
            );
        }
    }

    fn remove(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> Vec<MemberPath> {
        const NAME: &str = "response.remove";
        let written = self.texts(section, NAME).unwrap_or_default();
        if kind == RouteKind::Verify {
            self.reject_empty_list(
                section,
                NAME,
                "`response.remove` of a verify route is empty",
                "name the pictures, or leave it out for the default",
            );
        }
        let paths = written
            .iter()
            .filter_map(|(text, location)| self.member_path(text, location));
        paths.collect()
    }

    fn max_string(&mut self, section: &ConfigSection<'_>, kind: RouteKind) -> Option<usize> {
        let max = self.size(section, "response.max_string");
        if kind == RouteKind::Verify {
            match &max {
                None => self.error(
                    &section.location,
                    "without `response.max_string` a new picture field could reach the frontend",
                    MAX_STRING_HELP,
                ),
                Some((bytes, location)) if *bytes > MAX_STRING => self.error(
                    location,
                    "`response.max_string` is large enough for a picture",
                    MAX_STRING_HELP,
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

    fn reject_empty_list(
        &mut self,
        section: &ConfigSection<'_>,
        name: &str,
        message: &str,
        help: &str,
    ) {
        if let Some(item) = section.item(name)
            && matches!(&item.value, ConfigValue::List(items) if items.is_empty())
        {
            self.error(&item.location, message, help);
        }
    }

    fn member_path(&mut self, text: &str, location: &ConfigLocation) -> Option<MemberPath> {
        let path = MemberPath::parse(text);
        path.map_err(|error| self.error(location, error.to_string(), PATH_HELP))
            .ok()
    }
}

fn name(step: &PathStep) -> Option<&str> {
    match step {
        PathStep::Member(name) => Some(name),
        PathStep::Elements => None,
    }
}
