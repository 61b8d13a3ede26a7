//! What a route accepts as a body: which members go upstream, which must be there, and of which type.

use bytes::Bytes;

use crate::{
    json::{
        pointer::Pointer,
        rules::{Rules, Slot},
        value::Value,
    },
    media::digest::VideoDigest,
    route::{RouteKind, RouteSettings},
};

/// A route's rules, built once at start.
pub struct BodyRules {
    pub(super) rules: Rules,
    pub(super) max_body: u64,
    /// An empty body goes up as `{}`.
    pub(super) empty_is_object: bool,
    pub(super) video: Option<Slot>,
    /// The caller's `face_field`, where it goes upstream.
    pub(super) face_field: Option<Slot>,
    /// Members that go up as the operator says, as JSON with commas between them; empty: none.
    pub(super) pins: Bytes,
    hash_video: bool,
    typed: Vec<Typed>,
    /// What goes up beside a video, other than its session and what the operator adds.
    beside_video: Vec<Slot>,
}

struct Typed {
    name: &'static str,
    slot: Slot,
    kind: Kind,
    required: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    String,
    Number,
}

impl BodyRules {
    /// The rules that `route` asks for; with `bind`, session ids are opened on the way.
    pub fn new(route: &RouteSettings, bind: bool) -> Self {
        let mut rules = Rules::new();
        let pinned = |name: &str| route.request_set.iter().any(|(pin, _)| pin == name);
        let fields = route.request_fields.as_ref();
        if let Some(fields) = fields {
            let fields = fields.iter().map(String::as_str);
            rules.keep_only(fields.filter(|field| !pinned(field)));
        } else {
            // Any top-level member stays, but two of one name are two readings of one body.
            rules.watch_root();
            let pins = route.request_set.iter();
            pins.filter_map(|(pin, _)| Pointer::parse(pin).ok())
                .for_each(|pin| rules.remove(&pin));
        }
        let goes_up = |name: &str| {
            !pinned(name) && fields.is_none_or(|fields| fields.iter().any(|field| field == name))
        };
        let mut typed = Vec::new();
        let mut field = |rules: &mut Rules, name: &'static str, kind: Kind, required: bool| {
            let pointer = Pointer::parse(name).ok().filter(|_| goes_up(name))?;
            let slot = match name {
                "video_base64" => rules.stream(&pointer),
                "session_id" if bind => rules.replace(&pointer),
                _ => rules.capture(&pointer),
            };
            typed.push(Typed {
                name,
                slot,
                kind,
                required,
            });
            Some(slot)
        };
        let (mut video, mut face_field) = (None, None);
        let mut beside_video = Vec::new();
        match route.kind {
            RouteKind::Session => {
                field(&mut rules, "min_code_length", Kind::Number, false);
                field(&mut rules, "max_code_length", Kind::Number, false);
            }
            RouteKind::Verify => {
                field(&mut rules, "session_id", Kind::String, true);
                video = field(&mut rules, "video_base64", Kind::String, true);
                face_field = field(&mut rules, "face_field", Kind::String, false);
                beside_video.extend(face_field);
                let names = fields.filter(|_| bind).into_iter().flatten();
                let names = names.filter(|name| goes_up(name));
                beside_video.extend(others(&mut rules, &typed, names));
            }
            RouteKind::Plain => {}
        }
        Self {
            rules,
            max_body: route.max_body,
            empty_is_object: route.kind == RouteKind::Session,
            video,
            face_field,
            pins: pins(route),
            hash_video: false,
            typed,
            beside_video,
        }
    }

    /// Has the video hashed too.
    pub fn hashing_video(mut self) -> Self {
        self.hash_video = self.video.is_some();
        self
    }

    /// A digest to feed, where the video is to be hashed.
    pub(super) fn video_digest(&self) -> Option<VideoDigest> {
        self.hash_video.then(VideoDigest::default)
    }

    /// What is asked about the video, as a text that two uploads have in common only if they ask the same; of objects, arrays and
    /// texts over 4 KiB no more than that they are there.
    pub(super) fn asked<'v>(&self, value: impl Fn(Slot) -> &'v Value) -> Vec<u8> {
        let mut asked = Vec::new();
        for (place, slot) in self.beside_video.iter().enumerate() {
            let (kind, text) = match value(*slot) {
                Value::Absent => continue,
                Value::String(text) => (b's', text.as_str()),
                Value::Number(text) => (b'n', text.as_str()),
                Value::Bool(true) => (b't', ""),
                Value::Bool(false) => (b'f', ""),
                Value::Null => (b'0', ""),
                Value::Container => (b'c', ""),
                Value::TooLong | Value::Streamed => (b'l', ""),
            };
            asked.extend((place as u64).to_le_bytes());
            asked.push(kind);
            asked.extend((text.len() as u64).to_le_bytes());
            asked.extend(text.as_bytes());
        }
        asked
    }

    /// Whether every member is there that must be, and of its type; else what is wrong, for the caller.
    pub(super) fn check(&self, values: &[Value]) -> Result<(), String> {
        for field in &self.typed {
            let name = field.name;
            match (values.get(field.slot).unwrap_or(&Value::Absent), field.kind) {
                (Value::Absent, _) if field.required => return Err(format!("`{name}` is missing")),
                (Value::Absent | Value::Streamed, _) | (Value::Number(_), Kind::Number) => {}
                (Value::String(text), Kind::String) if !text.is_empty() || !field.required => {}
                (Value::String(_), Kind::String) => return Err(format!("`{name}` is empty")),
                (Value::TooLong, _) => return Err(format!("`{name}` is too long")),
                (_, Kind::String) => return Err(format!("`{name}` must be a string")),
                (_, Kind::Number) => return Err(format!("`{name}` must be a number")),
            }
        }
        Ok(())
    }
}

/// The members of these names that have no type here.
fn others<'n>(
    rules: &mut Rules,
    typed: &[Typed],
    names: impl Iterator<Item = &'n String>,
) -> Vec<Slot> {
    names
        .filter(|name| typed.iter().all(|field| field.name != name.as_str()))
        .map(|name| rules.capture(&Pointer::member(name)))
        .collect()
}

fn pins(route: &RouteSettings) -> Bytes {
    let name = |name: &str| serde_json::Value::from(name);
    let pins = route.request_set.iter();
    let members: Vec<_> = pins
        .map(|(pin, value)| format!("{}:{value}", name(pin)))
        .collect();
    members.join(",").into()
}
