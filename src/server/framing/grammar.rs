//! The grammar of the lines that frame a message: request targets, chunk sizes, field names.
//!
//! Relies on nothing. Accepts exactly what RFC 9110 and RFC 9112 allow, and never allocates.

/// Why the stream is not HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::server) enum FramingError {
    /// A line feed without a carriage return, or the reverse (RFC 9112 section 2.2).
    #[error("a bare CR or LF")]
    BareLineBreak,
    /// A line that begins with white space (RFC 9112 section 5.2).
    #[error("a folded field line")]
    Folding,
    /// `Content-Length` is repeated, or is no number (RFC 9112 section 6.3).
    #[error("an invalid Content-Length")]
    Length,
    /// `Transfer-Encoding` is not `chunked`, once (RFC 9112 section 6.1).
    #[error("an unsupported Transfer-Encoding")]
    TransferCoding,
    /// Both fields in one head (RFC 9112 section 6.3).
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 section 6.1).
    #[error("Transfer-Encoding in HTTP/1.0")]
    CodingInHttp10,
    /// A chunk's size or extension (RFC 9112 section 7.1).
    #[error("an invalid chunk")]
    Chunk,
    /// A trailer field (RFC 9112 section 7.1.2).
    #[error("an invalid trailer field")]
    Trailer,
    /// A request target with a fragment or a byte outside of ASCII.
    #[error("an invalid request target")]
    Target,
}

/// The request target must be ASCII and have no fragment, which hyper would drop. hyper refuses
/// control characters.
pub(super) fn check_target(line: &[u8]) -> Result<(), FramingError> {
    match line.is_ascii() && memchr::memchr(b'#', line).is_none() {
        true => Ok(()),
        false => Err(FramingError::Target),
    }
}

/// The size of a chunk: `1*HEXDIG [ chunk-ext ]`.
pub(super) fn chunk_size(line: &[u8]) -> Result<u64, FramingError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (size, extension) = line
        .split_at_checked(digits.count())
        .ok_or(FramingError::Chunk)?;
    let size = number(size, 16).ok_or(FramingError::Chunk)?;
    match extension.is_empty() || is_extension(extension) {
        true => Ok(size),
        false => Err(FramingError::Chunk),
    }
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`
fn is_extension(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(name) = trim_start(rest).strip_prefix(b";") else {
            return false;
        };
        let Some(after) = skip_token(trim_start(name)) else {
            return false;
        };
        rest = match trim_start(after).strip_prefix(b"=") {
            None => after,
            Some(value) => match skip_value(trim_start(value)) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    true
}

/// Behind a token or a quoted string (RFC 9110 section 5.6).
fn skip_value(bytes: &[u8]) -> Option<&[u8]> {
    let Some(mut rest) = bytes.strip_prefix(b"\"") else {
        return skip_token(bytes);
    };
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', escaped, after @ ..] if is_text(*escaped) => after,
            [byte, after @ ..] if *byte != b'\\' && is_text(*byte) => after,
            _ => return None,
        };
    }
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| is_token(**byte)).count();
    bytes.get(length..).filter(|_| length > 0)
}

/// The name of a field line, if it has one and nothing but a token before the colon.
pub(super) fn field_name(line: &[u8]) -> Option<&[u8]> {
    let rest = skip_token(line)?.strip_prefix(b":")?;
    let valid = rest.iter().all(|byte| is_text(*byte));
    line.get(..line.len() - rest.len() - 1).filter(|_| valid)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// White space, visible ASCII, or `obs-text`.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// A number of digits alone, without a sign.
pub(super) fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let first = text.bytes().next()?;
    if !char::from(first).is_digit(radix) {
        return None;
    }
    u64::from_str_radix(text, radix).ok()
}

pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
    let bytes = bytes.get(..end.map_or(0, |end| end + 1));
    trim_start(bytes.unwrap_or_default())
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let begin = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    bytes
        .get(begin.unwrap_or(bytes.len())..)
        .unwrap_or_default()
}
