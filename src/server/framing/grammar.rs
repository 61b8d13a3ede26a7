//! The grammar of the lines that frame a message: request lines, codings, chunk sizes, trailers.
//!
//! Relies on nothing. Accepts no more than RFC 9110 and RFC 9112 allow, and never allocates.

use memchr::memchr;

/// Fields that must not be trailers (RFC 9110 section 6.5.1): they frame or route the message,
/// authenticate the caller, or describe the body.
const NO_TRAILERS: [&[u8]; 12] = [
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"expect",
    b"host",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Why the stream is not HTTP/1.1 that the gateway reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A line feed without a carriage return (RFC 9112 section 2.2).
    #[error("a bare LF")]
    BareLineFeed,
    /// A line that begins with white space (RFC 9112 section 5.2).
    #[error("a folded field line")]
    Folding,
    /// `Content-Length` is repeated, or is no number (RFC 9112 section 6.3).
    #[error("an invalid Content-Length")]
    Length,
    /// `Transfer-Encoding` does not end in `chunked`, or has it twice (RFC 9112 section 6.1).
    #[error("an invalid Transfer-Encoding")]
    TransferCoding,
    /// A transfer coding before `chunked` (RFC 9112 section 6.1).
    #[error("an unsupported Transfer-Encoding")]
    UnknownCoding,
    /// Both fields in one head (RFC 9112 section 6.3).
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 section 6.1).
    #[error("Transfer-Encoding in HTTP/1.0")]
    CodingInHttp10,
    /// A chunk's size or extension (RFC 9112 section 7.1), or one that is too long.
    #[error("an invalid chunk")]
    Chunk,
    /// A trailer field (RFC 9112 section 7.1.2), or too many.
    #[error("an invalid trailer field")]
    Trailer,
    /// The request line has another form than method, target and version (RFC 9112 section 3), or
    /// a target that no request to this server has.
    #[error("an invalid request line")]
    RequestLine,
    /// The request line is longer than the gateway reads.
    #[error("a request line that is too long")]
    RequestLineTooLong,
    /// Another version than HTTP/1.1 and HTTP/1.0 (RFC 9110 section 15.6.6).
    #[error("an unsupported HTTP version")]
    Version,
}

impl FramingError {
    /// The word of the error for access records, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BareLineFeed => "bare_line_feed",
            Self::Folding => "folded_field",
            Self::Length => "content_length",
            Self::TransferCoding => "transfer_encoding",
            Self::UnknownCoding => "transfer_coding",
            Self::LengthAndCoding => "length_and_coding",
            Self::CodingInHttp10 => "coding_in_http10",
            Self::Chunk => "chunk",
            Self::Trailer => "trailer",
            Self::RequestLine => "request_line",
            Self::RequestLineTooLong => "request_line_length",
            Self::Version => "http_version",
        }
    }
}

/// Checks a request line, and returns whether it is one of HTTP/1.0. hyper refuses what no token
/// or target may contain, except what it would drop or repair: fragments and bytes outside of
/// ASCII.
pub(super) fn request_line(line: &[u8]) -> Result<bool, FramingError> {
    let (rest, http10) = match line.strip_suffix(b" HTTP/1.1") {
        Some(rest) => (rest, false),
        None => match line.strip_suffix(b" HTTP/1.0") {
            Some(rest) => (rest, true),
            None => return Err(other_version(line)),
        },
    };
    let blank = memchr(b' ', rest).ok_or(FramingError::RequestLine)?;
    let (method, target) = rest.split_at_checked(blank).unwrap_or_default();
    let target = target.get(1..).unwrap_or_default();
    let clean = line.is_ascii() && memchr(b'#', target).is_none();
    match clean && is_target(method, target) {
        true => Ok(http10),
        false => Err(FramingError::RequestLine),
    }
}

/// Whether a request of this method may have this target. `CONNECT` asks for a tunnel, and only
/// a proxy is asked for other schemes (RFC 9112 section 3.2). `*` is the server as a whole, which
/// has no options.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let scheme = |scheme: &[u8]| {
        let begin = target.get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let known = target.first() == Some(&b'/') || scheme(b"http://") || scheme(b"https://");
    known && method != b"CONNECT"
}

/// The error of a line that ends in neither HTTP/1.1 nor HTTP/1.0.
fn other_version(line: &[u8]) -> FramingError {
    match line.last_chunk() {
        Some([b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            FramingError::Version
        }
        _ => FramingError::RequestLine,
    }
}

/// Checks the value of a `Transfer-Encoding`: `chunked`, once. Codings before it are valid but
/// not supported; without it at the end, nobody knows where the body ends.
pub(super) fn coding(value: &[u8]) -> Result<(), FramingError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.rsplit(|byte| *byte == b',').map(trim);
    let mut chunked = || {
        codings
            .next()
            .map(|coding| coding.eq_ignore_ascii_case(b"chunked"))
    };
    let last = chunked() == Some(true);
    let again = std::iter::from_fn(chunked).any(|chunked| chunked);
    let tokens = value
        .split(|byte| *byte == b',')
        .all(|coding| skip_token(trim(coding)).is_some_and(<[u8]>::is_empty));
    match last && !again && tokens {
        true => Err(FramingError::UnknownCoding),
        false => Err(FramingError::TransferCoding),
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

/// Checks that a trailer field has a name that trailers may have, nothing but a token before the
/// colon, and no control character.
pub(super) fn trailer_name(line: &[u8]) -> Result<(), FramingError> {
    let behind = skip_token(line).ok_or(FramingError::Trailer)?;
    let name = line.get(..line.len() - behind.len()).unwrap_or_default();
    let value = behind.strip_prefix(b":").ok_or(FramingError::Trailer)?;
    let forbidden = NO_TRAILERS.iter().any(|no| name.eq_ignore_ascii_case(no));
    match !forbidden && value.iter().all(|byte| is_text(*byte)) {
        true => Ok(()),
        false => Err(FramingError::Trailer),
    }
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
    digits.first()?;
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        let number = number.checked_mul(radix.into())?;
        number.checked_add(digit.into())
    })
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
