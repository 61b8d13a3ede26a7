//! The head of a response: status, framing and the few header fields that matter, parsed strictly.
//!
//! Relies on `httparse` for the syntax. A response whose end two readers could place differently
//! (both a length and chunks, two lengths, an unknown coding) is rejected: RFC 9112 section 6.3.

use std::mem::MaybeUninit;

use super::{MalformedResponse, framing::BodyFraming};

/// Maximum number of header fields in a response.
const MAX_HEADERS: usize = 64;

/// The parsed head of a response.
#[derive(Debug)]
pub struct ResponseHead {
    /// HTTP status code.
    pub status: u16,
    /// How the body is delimited.
    pub framing: BodyFraming,
    /// Whether the connection may serve another request afterwards.
    pub keep_alive: bool,
    /// Whether the body has a `Content-Encoding` other than `identity`; requests ask for none.
    pub encoded: bool,
    /// The upstream's request id, `X-Reqid`: short and without blanks.
    pub reqid: Option<String>,
}

/// Parses the head at the start of `bytes` and returns it with its length in bytes, or `None` while
/// it is incomplete.
///
/// # Errors
/// The head is malformed, or leaves the end of the body ambiguous.
pub fn parse(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, MalformedResponse> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
    {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(MalformedResponse::Head),
    };
    let status = response.code.unwrap_or_default();
    let mut head = ResponseHead {
        status,
        framing: BodyFraming::UntilClose,
        keep_alive: response.version == Some(1),
        encoded: false,
        reqid: None,
    };
    let (mut lengths, mut chunked) = (None, false);
    for field in response.headers.iter() {
        let value = field.value.trim_ascii();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // Compares lengths first: most fields are none of these.
        match field.name.len() {
            14 if is("content-length") => {
                let value = decimal(value).ok_or(MalformedResponse::Length)?;
                if lengths.replace(value).is_some_and(|other| other != value) {
                    return Err(MalformedResponse::TwoLengths);
                }
            }
            17 if is("transfer-encoding") => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(MalformedResponse::TransferCoding);
                }
                chunked = true;
            }
            10 if is("connection") => {
                head.keep_alive &= !value
                    .split(|&byte| byte == b',')
                    .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            16 if is("content-encoding") => {
                head.encoded |= !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
            }
            7 if is("x-reqid") => head.reqid = identifier(value),
            _ => {}
        }
    }
    head.framing = match (lengths, chunked) {
        (Some(_), true) => return Err(MalformedResponse::LengthAndChunks),
        _ if matches!(status, 100..=199 | 204 | 304) => BodyFraming::length(0),
        (Some(length), false) => BodyFraming::length(length),
        (None, true) => BodyFraming::chunked(),
        (None, false) => BodyFraming::UntilClose,
    };
    Ok(Some((head, length)))
}

/// The value of a field in a head that [`parse`] accepted; several fields of one name are joined by
/// commas (RFC 9110 section 5.3).
pub(super) fn field(head: &[u8], name: &str) -> Option<String> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    let values: Vec<_> = response
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .map(|field| String::from_utf8_lossy(field.value))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Text that can go into a log line: short and without blanks; `None` if `value` is not.
fn identifier(value: &[u8]) -> Option<String> {
    let fits = !value.is_empty() && value.len() <= 64 && value.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<ResponseHead, MalformedResponse> {
        parse(text.as_bytes()).map(|head| head.unwrap().0)
    }

    #[test]
    fn ambiguous_framing_is_rejected() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert!(
                head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).is_err(),
                "{fields}"
            );
        }
    }

    #[test]
    fn status_keep_alive_coding_and_request_id_are_parsed() {
        let read = head(concat!(
            "HTTP/1.1 200 OK\r\nx-reqid: abc\r\nContent-Length: 5\r\n",
            "Connection: x, Close\r\nContent-Encoding: gzip\r\n\r\n"
        ))
        .unwrap();
        assert_eq!(
            (
                read.status,
                read.keep_alive,
                read.encoded,
                read.reqid.as_deref()
            ),
            (200, false, true, Some("abc"))
        );
        let read =
            head("HTTP/1.1 200 OK\r\nX-Reqid: a b\r\nContent-Encoding: identity\r\n\r\n").unwrap();
        assert_eq!(
            (read.keep_alive, read.encoded, read.reqid),
            (true, false, None)
        );
        let fields = concat!(
            "HTTP/1.1 200 OK\r\nCache-Control: public\r\nAge: 5\r\n",
            "cache-control: max-age=60\r\n\r\n"
        )
        .as_bytes();
        assert_eq!(
            field(fields, "Cache-Control").as_deref(),
            Some("public, max-age=60")
        );
        assert_eq!(field(fields, "Expires"), None);
        assert!(!head("HTTP/1.0 200 OK\r\n\r\n").unwrap().keep_alive);
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-").unwrap().is_none());
    }
}
