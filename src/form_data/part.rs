//! The header of a part: its name, and what its content is.
//!
//! Reads three fields and ignores the others (RFC 7578 section 4.8), such as the `Content-Length`
//! that some clients write. Of `Content-Disposition`, only `name` counts: a file name says nothing
//! about a file, so no way to write one (`filename*`, `%22`, any encoding) can be wrong.

use std::borrow::Cow;

use super::FormError;
use crate::parameters::{self, MalformedParameter, Parameter};

/// The header of a part.
#[derive(Debug, PartialEq, Eq)]
pub struct PartHead<'a> {
    /// The name of its field.
    pub name: Cow<'a, [u8]>,
    content_type: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
}

/// How a part's text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEncoding {
    /// In UTF-8.
    Utf8,
    /// In an encoding of which we read only what is ASCII, too.
    Ascii,
    /// In another one.
    Other,
}

impl PartHead<'_> {
    /// Whether the content is something else than its bytes. Forms have no such parts any more
    /// (RFC 7578 section 4.7).
    pub fn is_encoded(&self) -> bool {
        let plain = ["binary", "8bit", "7bit"];
        let encoding = self.transfer_encoding.unwrap_or(b"binary");
        !plain
            .iter()
            .any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The encoding of the content, if that is text.
    pub fn text_encoding(&self) -> TextEncoding {
        let (_, parameters) = parameters::split(self.content_type.unwrap_or_default());
        let mut encoding = TextEncoding::Utf8;
        for parameter in parameters {
            encoding = match parameter {
                Ok(parameter) if !parameter.is("charset") => continue,
                Ok(parameter) => named(&parameter),
                Err(MalformedParameter) => return TextEncoding::Other,
            };
        }
        encoding
    }
}

/// Reads the lines of a header, with the empty one at its end.
pub(super) fn read(head: &[u8]) -> Result<PartHead<'_>, FormError> {
    let (mut disposition, mut content_type, mut transfer_encoding) = (None, None, None);
    let mut rest = head;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n").filter(|end| *end > 0) {
        let (line, behind) = rest.split_at(end);
        rest = behind.get(2..).unwrap_or_default();
        let (name, value) = field(line).ok_or(FormError::Head)?;
        let known = [
            ("Content-Disposition", &mut disposition),
            ("Content-Type", &mut content_type),
            ("Content-Transfer-Encoding", &mut transfer_encoding),
        ];
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if let Some((_, place)) = known.into_iter().find(|(known, _)| is(known))
            && place.replace(value).is_some()
        {
            return Err(FormError::RepeatedField);
        }
    }
    Ok(PartHead {
        name: name(disposition.ok_or(FormError::NoName)?)?,
        content_type,
        transfer_encoding,
    })
}

/// A line as a field's name and value. A line that continues another one has no name.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    let named = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    (named && value.iter().all(text)).then_some((name, value.trim_ascii()))
}

/// The name in a `Content-Disposition`.
fn name(disposition: &[u8]) -> Result<Cow<'_, [u8]>, FormError> {
    let (kind, parameters) = parameters::split(disposition);
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err(FormError::NoName);
    }
    let mut name = None;
    for parameter in parameters {
        let parameter = parameter.map_err(|MalformedParameter| FormError::Head)?;
        if parameter.is("name") && name.replace(parameter.value).is_some() {
            return Err(FormError::Head);
        }
    }
    name.ok_or(FormError::NoName)
}

fn named(charset: &Parameter<'_>) -> TextEncoding {
    match &*charset.value.to_ascii_lowercase() {
        b"utf-8" | b"utf8" => TextEncoding::Utf8,
        b"us-ascii" | b"iso-8859-1" => TextEncoding::Ascii,
        _ => TextEncoding::Other,
    }
}
