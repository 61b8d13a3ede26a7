//! A video and its members as the parts of a form (`Content-Type: multipart/form-data`), which is
//! what mobile frameworks send files in.
//!
//! Writes the JSON that Qiniu expects, with the members in the order of the parts, and encodes the
//! video as base64 while it arrives. Holds only the text of the part that is arriving, at most
//! 4 KiB. Other parts than those of a `verify` are dropped as they arrive.

use std::fmt;

use super::{
    BodyRefusal, BodyRules, FieldError, attempt,
    incoming::IncomingBody,
    nonce::{self, Nonce},
    pieces::BodyPieces,
    raw_video::{self, Base64Encoder},
};
use crate::{
    form_data::{
        Boundary,
        part::{PartHead, TextEncoding},
        reader::{FormEvent, FormReader},
    },
    json::sink::{CapturedValue, CutSink},
    media::{VideoFinding, base64::MAX_VIDEO},
    wipe::{self, WipedVec},
};

/// Maximum size of a text, in bytes: that of a captured JSON member.
const MAX_TEXT: usize = 4 * 1024;
/// Upper bound of the memory that texts take, for each of their bytes: a JSON escape.
const ESCAPE: u64 = 6;

/// What the head of a form says.
pub struct FormHead {
    /// What separates the parts.
    pub boundary: Boundary,
    /// Value of `Liveness-Nonce`.
    pub nonce: Option<Nonce>,
}

/// Keeps nonces out of logs.
impl fmt::Debug for FormHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormHead")
    }
}

/// What a form holds besides what it wrote into its pieces.
pub(super) struct ReceivedForm {
    /// The encoded members beside the video.
    pub(super) asked: WipedVec,
    /// Length of the video, in bytes.
    pub(super) length: u64,
    pub(super) nonce: Option<Nonce>,
}

/// The memory that a form of `bytes` bytes takes, in bytes: nothing but its video and two texts.
pub(super) fn held(bytes: u64) -> u64 {
    let texts = bytes.min(2 * MAX_TEXT as u64).saturating_mul(ESCAPE);
    raw_video::held(bytes.min(MAX_VIDEO)).saturating_add(texts)
}

/// Receives the form into `pieces`.
///
/// # Errors
/// The body was refused; the rest of it is unread.
pub(super) async fn receive(
    incoming: &mut IncomingBody<'_>,
    head: &FormHead,
    rules: &BodyRules,
    pieces: &mut BodyPieces,
) -> Result<ReceivedForm, BodyRefusal> {
    let mut reader = FormReader::new(&head.boundary);
    let mut upload = FormUpload::new(rules, pieces);
    while let Some(chunk) = incoming.next().await? {
        upload.pieces.arrived(incoming.count(), incoming.declared());
        let mut rest = &*chunk;
        while let Some(event) = reader.next(&mut rest)? {
            match event {
                FormEvent::Part(head) => upload.begin(&head)?,
                FormEvent::Content(bytes) => upload.content(bytes)?,
                FormEvent::End => upload.end()?,
            }
        }
    }
    reader.finish()?;
    upload.finish(head.nonce.as_ref())
}

/// A part that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormField {
    Video,
    Session,
    FaceField,
    Nonce,
}

impl FormField {
    const ALL: [Self; 4] = [Self::Video, Self::Session, Self::FaceField, Self::Nonce];

    fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Session => "session_id",
            Self::FaceField => "face_field",
            Self::Nonce => nonce::MEMBER,
        }
    }
}

/// A form that is arriving.
struct FormUpload<'u> {
    rules: &'u BodyRules,
    pieces: &'u mut BodyPieces,
    encoder: Base64Encoder,
    /// The part that is arriving, unless it is dropped.
    arriving: Option<FormField>,
    /// The parts that have begun.
    begun: Vec<FormField>,
    /// The text of the part that is arriving, which may have to be ASCII.
    text: WipedVec,
    ascii: bool,
    /// Length of the video so far, in bytes.
    length: u64,
    face_field: CapturedValue,
    nonce: CapturedValue,
    /// Whether a member was written.
    written: bool,
}

impl<'u> FormUpload<'u> {
    fn new(rules: &'u BodyRules, pieces: &'u mut BodyPieces) -> Self {
        Self {
            rules,
            pieces,
            encoder: Base64Encoder::default(),
            arriving: None,
            begun: Vec::new(),
            text: WipedVec::default(),
            ascii: false,
            length: 0,
            face_field: CapturedValue::Absent,
            nonce: CapturedValue::Absent,
            written: false,
        }
    }

    fn begin(&mut self, head: &PartHead<'_>) -> Result<(), FieldError> {
        let is = |field: &FormField| *head.name == *field.name().as_bytes();
        self.arriving = FormField::ALL.into_iter().find(is);
        let Some(field) = self.arriving else {
            return Ok(());
        };
        let name = field.name();
        if self.begun.contains(&field) {
            return Err(FieldError::Repeated(name));
        }
        self.begun.push(field);
        if head.is_encoded() {
            return Err(FieldError::Encoded(name));
        }
        if field == FormField::Video {
            self.member("video_base64");
            self.pieces.append(WipedVec::new(b"\"".to_vec()));
            self.pieces.video_begins();
            return Ok(());
        }
        self.text.wipe();
        self.ascii = match head.text_encoding() {
            TextEncoding::Utf8 => false,
            TextEncoding::Ascii => true,
            TextEncoding::Other => return Err(FieldError::NotUtf8(name)),
        };
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), BodyRefusal> {
        match self.arriving {
            None => {}
            Some(FormField::Video) => {
                self.length = self.length.saturating_add(bytes.len() as u64);
                if self.length > MAX_VIDEO {
                    return Err(BodyRefusal::Video(VideoFinding::TooLarge));
                }
                self.encoder.encode(bytes, self.pieces);
                if let Some(digest) = &mut self.pieces.digest {
                    digest.bytes(bytes);
                }
            }
            Some(field) => {
                if self.text.len().saturating_add(bytes.len()) > MAX_TEXT {
                    return Err(FieldError::TooLong(field.name()).into());
                }
                wipe::append(&mut self.text, bytes);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), BodyRefusal> {
        let Some(field) = self.arriving.take() else {
            return Ok(());
        };
        if field == FormField::Video {
            if self.length == 0 {
                return Err(BodyRefusal::Video(VideoFinding::Empty));
            }
            std::mem::take(&mut self.encoder).finish(self.pieces);
            self.pieces.append(WipedVec::new(b"\"".to_vec()));
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let text = match std::str::from_utf8(&text) {
            Ok(text) if text.is_ascii() || !self.ascii => text,
            _ => return Err(FieldError::NotUtf8(field.name()).into()),
        };
        match field {
            FormField::Session => self.session(text)?,
            FormField::Nonce => self.nonce = CapturedValue::String(text.to_owned()),
            FormField::FaceField | FormField::Video => {
                if self.rules.face_field.is_some() {
                    self.member(FormField::FaceField.name());
                    self.pieces.append(attempt::json(Some(text)));
                    self.face_field = CapturedValue::String(text.to_owned());
                }
            }
        }
        Ok(())
    }

    fn session(&mut self, text: &str) -> Result<(), BodyRefusal> {
        let name = FormField::Session.name();
        if text.is_empty() {
            return Err(FieldError::Empty(name).into());
        }
        let session = match &mut self.pieces.attempt {
            Some(attempt) => attempt.open(text),
            None => attempt::json(Some(text)),
        };
        self.pieces.session_so_far()?;
        self.member(name);
        self.pieces.append(session);
        Ok(())
    }

    /// Begins a member of the JSON.
    fn member(&mut self, name: &str) {
        let before = match std::mem::replace(&mut self.written, true) {
            true => ',',
            false => '{',
        };
        let member = format!("{before}\"{name}\":");
        self.pieces.append(WipedVec::new(member.into()));
    }

    fn finish(self, header: Option<&Nonce>) -> Result<ReceivedForm, BodyRefusal> {
        for field in [FormField::Session, FormField::Video] {
            if !self.begun.contains(&field) {
                return Err(FieldError::Missing(field.name()).into());
            }
        }
        let nonce = BodyRules::agreed_nonce(&self.nonce, header)?;
        self.pieces.end(false);
        self.pieces.append(WipedVec::new(b"}".to_vec()));
        let value = |slot| match self.rules.face_field == Some(slot) {
            true => &self.face_field,
            false => CapturedValue::absent(),
        };
        Ok(ReceivedForm {
            asked: self.rules.asked(value, nonce.as_ref()),
            length: self.length,
            nonce,
        })
    }
}
