//! The members that a route accepts in a body: which go upstream, which are required, and their
//! types.
//!
//! Built once at start from the route's settings. Never sees a byte of a body.

use bytes::Bytes;

use super::nonce::{self, Nonce};
use crate::{
    json::{
        rules::{CaptureSlot, CutRules, MemberPath},
        sink::CapturedValue,
    },
    media::digest::VideoDigest,
    route::{RouteKind, RouteSettings},
    wipe::{self, WipedVec},
};

/// The rules of one route.
pub struct BodyRules {
    pub(super) rules: CutRules,
    /// Maximum body size, in bytes.
    pub(super) max_body: u64,
    /// Whether an empty body goes upstream as `{}`.
    pub(super) empty_is_object: bool,
    /// The video, if it goes upstream.
    pub(super) video: Option<CaptureSlot>,
    /// The caller's `face_field`, if it goes upstream.
    pub(super) face_field: Option<CaptureSlot>,
    /// The caller's nonce, on a route that verifies. It never goes upstream.
    nonce: Option<CaptureSlot>,
    /// The members that the operator pins, as JSON separated by commas; empty if there are none.
    pub(super) pins: Bytes,
    hash_video: bool,
    typed: Vec<TypedMember>,
    /// The members that go upstream beside a video, except its session and pinned ones.
    beside_video: Vec<CaptureSlot>,
}

/// A member that must have a certain type.
struct TypedMember {
    name: &'static str,
    slot: CaptureSlot,
    kind: MemberType,
    required: bool,
}

#[derive(Clone, Copy)]
enum MemberType {
    String,
    Number,
}

/// Why the value of a member, or of a form's part, is rejected. Each variant holds its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// It is required, but missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// It is required, but an empty string.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// It is given twice.
    #[error("`{0}` is given twice")]
    Repeated(&'static str),
    /// It is longer than 4 KiB.
    #[error("`{0}` is too long")]
    TooLong(&'static str),
    /// It is not a string.
    #[error("`{0}` must be a string")]
    NotString(&'static str),
    /// It is not a number.
    #[error("`{0}` must be a number")]
    NotNumber(&'static str),
    /// It is text in another encoding than UTF-8.
    #[error("`{0}` must be text in UTF-8")]
    NotUtf8(&'static str),
    /// It is a part whose content is encoded.
    #[error("`{0}` must be sent as it is, without a Content-Transfer-Encoding")]
    Encoded(&'static str),
    /// It is not a nonce.
    #[error("`{0}` {form}", form = Nonce::FORM)]
    NotNonce(&'static str),
    /// It is another nonce than the header field's.
    #[error("`{0}` differs from the header field Liveness-Nonce")]
    OtherNonce(&'static str),
}

impl BodyRules {
    /// Builds the rules of `route`. With `bind`, session ids are opened on the way.
    pub fn new(route: &RouteSettings, bind: bool) -> Self {
        let mut rules = kept(route);
        let fields = route.request_fields.as_ref();
        let goes_upstream = |name: &str| {
            let listed = fields.is_none_or(|fields| fields.iter().any(|field| field == name));
            listed && !is_pinned(route, name) && name != nonce::MEMBER
        };
        let mut typed = Vec::new();
        let mut field =
            |rules: &mut CutRules, name: &'static str, kind: MemberType, required: bool| {
                let path = MemberPath::parse(name)
                    .ok()
                    .filter(|_| goes_upstream(name))?;
                let slot = match name {
                    "video_base64" => rules.stream(&path),
                    "session_id" if bind => rules.replace(&path),
                    _ => rules.capture(&path),
                };
                typed.push(TypedMember {
                    name,
                    slot,
                    kind,
                    required,
                });
                Some(slot)
            };
        let (mut video, mut face_field, mut nonce) = (None, None, None);
        let mut beside_video = Vec::new();
        match route.kind {
            RouteKind::Session => {
                field(&mut rules, "min_code_length", MemberType::Number, false);
                field(&mut rules, "max_code_length", MemberType::Number, false);
            }
            RouteKind::Verify => {
                field(&mut rules, "session_id", MemberType::String, true);
                video = field(&mut rules, "video_base64", MemberType::String, true);
                face_field = field(&mut rules, "face_field", MemberType::String, false);
                beside_video.extend(face_field);
                let names = fields.filter(|_| bind).into_iter().flatten();
                let names = names.filter(|name| goes_upstream(name));
                beside_video.extend(others(&mut rules, &typed, names));
                nonce = Some(captured_only(&mut rules, nonce::MEMBER));
            }
            RouteKind::Plain => {}
        }
        Self {
            rules,
            max_body: route.max_body,
            empty_is_object: route.kind == RouteKind::Session,
            video,
            face_field,
            nonce,
            pins: pins(route),
            hash_video: false,
            typed,
            beside_video,
        }
    }

    /// Also hashes the video.
    pub fn hashing_video(mut self) -> Self {
        self.hash_video = self.video.is_some();
        self
    }

    /// A new digest, if the video is to be hashed.
    pub(super) fn video_digest(&self) -> Option<VideoDigest> {
        self.hash_video.then(VideoDigest::default)
    }

    /// Encodes the members beside the video and the nonce, so that two uploads are equal only if
    /// they ask for the same. Of objects, arrays and strings over 4 KiB only their presence counts.
    pub(super) fn asked<'v>(
        &self,
        value: impl Fn(CaptureSlot) -> &'v CapturedValue,
        nonce: Option<&Nonce>,
    ) -> WipedVec {
        let mut asked = WipedVec::default();
        for (place, slot) in self.beside_video.iter().enumerate() {
            let (kind, text) = match value(*slot) {
                CapturedValue::Absent => continue,
                CapturedValue::String(text) => (b's', text.as_str()),
                CapturedValue::Number(text) => (b'n', text.as_str()),
                CapturedValue::Bool(true) => (b't', ""),
                CapturedValue::Bool(false) => (b'f', ""),
                CapturedValue::Null => (b'0', ""),
                CapturedValue::Container => (b'c', ""),
                CapturedValue::TooLong | CapturedValue::Streamed => (b'l', ""),
            };
            encode(&mut asked, place as u64, kind, text);
        }
        if let Some(nonce) = nonce {
            // No member has this place.
            encode(&mut asked, u64::MAX, b's', nonce.as_str());
        }
        asked
    }

    /// The nonce of a request: the member, or the header field's. Both may be given if they are
    /// the same.
    ///
    /// # Errors
    /// The member is no nonce, or another one.
    pub(super) fn nonce(
        &self,
        values: &[CapturedValue],
        header: Option<&Nonce>,
    ) -> Result<Option<Nonce>, FieldError> {
        let member = self.nonce.and_then(|slot| values.get(slot));
        Self::agreed_nonce(member.unwrap_or(CapturedValue::absent()), header)
    }

    /// The same for the value of the member, or of a part of this name.
    ///
    /// # Errors
    /// The value is no nonce, or another one.
    pub(super) fn agreed_nonce(
        member: &CapturedValue,
        header: Option<&Nonce>,
    ) -> Result<Option<Nonce>, FieldError> {
        let member = match member {
            CapturedValue::Absent => return Ok(header.cloned()),
            CapturedValue::String(text) => Nonce::parse(text),
            _ => None,
        };
        let member = member.ok_or(FieldError::NotNonce(nonce::MEMBER))?;
        match header {
            Some(header) if *header != member => Err(FieldError::OtherNonce(nonce::MEMBER)),
            _ => Ok(Some(member)),
        }
    }

    /// Checks that every required member is present, and that each has its type.
    ///
    /// # Errors
    /// The first member that is missing or has the wrong type.
    pub(super) fn check(&self, values: &[CapturedValue]) -> Result<(), FieldError> {
        for field in &self.typed {
            let name = field.name;
            match (
                values.get(field.slot).unwrap_or(CapturedValue::absent()),
                field.kind,
            ) {
                (CapturedValue::Absent, _) if field.required => {
                    return Err(FieldError::Missing(name));
                }
                (CapturedValue::Absent | CapturedValue::Streamed, _)
                | (CapturedValue::Number(_), MemberType::Number) => {}
                (CapturedValue::String(text), MemberType::String)
                    if !text.is_empty() || !field.required => {}
                (CapturedValue::String(_), MemberType::String) => {
                    return Err(FieldError::Empty(name));
                }
                (CapturedValue::TooLong, _) => return Err(FieldError::TooLong(name)),
                (_, MemberType::String) => return Err(FieldError::NotString(name)),
                (_, MemberType::Number) => return Err(FieldError::NotNumber(name)),
            }
        }
        Ok(())
    }
}

/// Cut rules that keep the members that go upstream.
fn kept(route: &RouteSettings) -> CutRules {
    let mut rules = CutRules::new();
    if let Some(fields) = &route.request_fields {
        let fields = fields.iter().map(String::as_str);
        rules.keep_only(fields.filter(|field| !is_pinned(route, field)));
    } else {
        // Every top-level member stays, but duplicates would make the body ambiguous.
        rules.watch_root();
        let pins = route.request_set.iter();
        pins.filter_map(|(pin, _)| MemberPath::parse(pin).ok())
            .for_each(|pin| rules.remove(&pin));
    }
    rules
}

/// Whether the operator pins this member.
fn is_pinned(route: &RouteSettings, name: &str) -> bool {
    route.request_set.iter().any(|(pin, _)| pin == name)
}

/// Captures the members of these names that have no required type.
fn others<'n>(
    rules: &mut CutRules,
    typed: &[TypedMember],
    names: impl Iterator<Item = &'n String>,
) -> Vec<CaptureSlot> {
    names
        .filter(|name| typed.iter().all(|field| field.name != name.as_str()))
        .map(|name| rules.capture(&MemberPath::member(name)))
        .collect()
}

/// Captures a member of this name, and removes it.
fn captured_only(rules: &mut CutRules, name: &str) -> CaptureSlot {
    let path = MemberPath::member(name);
    rules.remove(&path);
    rules.capture(&path)
}

/// Appends a value, such that no two lists of values have the same encoding.
fn encode(asked: &mut WipedVec, place: u64, kind: u8, text: &str) {
    for part in [
        &place.to_le_bytes()[..],
        &[kind],
        &(text.len() as u64).to_le_bytes(),
        text.as_bytes(),
    ] {
        wipe::append(asked, part);
    }
}

fn pins(route: &RouteSettings) -> Bytes {
    let name = |name: &str| serde_json::Value::from(name);
    let pins = route.request_set.iter();
    let members: Vec<_> = pins
        .map(|(pin, value)| format!("{}:{value}", name(pin)))
        .collect();
    members.join(",").into()
}
