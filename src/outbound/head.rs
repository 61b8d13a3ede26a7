//! The head of an answer: status, framing and the few headers that matter, read strictly.
//!
//! Where two readers could disagree on where an answer ends (both lengths and chunks, two lengths, an unknown coding),
//! it is refused: RFC 9112 section 6.3.

use std::mem::MaybeUninit;

use super::framing::BodyFraming;

/// Header fields of an answer at the most.
const MAX_HEADERS: usize = 64;

/// What is known once the head has arrived.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// How the body is delimited.
    pub framing: BodyFraming,
    /// The connection may serve another call afterwards.
    pub keep_alive: bool,
    /// The body is compressed or otherwise coded, though we ask for none of it.
    pub encoded: bool,
    /// The server's name for the request, `X-Reqid`.
    pub reqid: Option<String>,
}

/// Parses a head at the start of `bytes`: it and its length, `None` while it is not complete.
///
/// # Errors
/// What is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, &'static str> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
    {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("the head of the answer is malformed"),
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
        // By their lengths first: most fields are none of these.
        match field.name.len() {
            14 if is("content-length") => {
                let value = decimal(value).ok_or("the length of the answer is malformed")?;
                if lengths.replace(value).is_some_and(|other| other != value) {
                    return Err("the answer has two lengths");
                }
            }
            17 if is("transfer-encoding") => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("the answer has an unknown transfer coding");
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
        (Some(_), true) => return Err("the answer has both a length and chunks"),
        _ if matches!(status, 100..=199 | 204 | 304) => BodyFraming::length(0),
        (Some(length), false) => BodyFraming::length(length),
        (None, true) => BodyFraming::chunked(),
        (None, false) => BodyFraming::UntilClose,
    };
    Ok(Some((head, length)))
}

/// The text of a field in a head that [`parse`] has taken, several of one name joined by commas.
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

/// Text that can go into a log line: short and without blanks.
fn identifier(value: &[u8]) -> Option<String> {
    let fits = !value.is_empty() && value.len() <= 64 && value.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<ResponseHead, &'static str> {
        parse(text.as_bytes()).map(|head| head.unwrap().0)
    }

    #[test]
    fn framing_that_two_readers_could_take_differently_is_refused() {
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
    fn what_matters_is_read() {
        let read = head("HTTP/1.1 200 OK\r\nx-reqid: abc\r\nContent-Length: 5\r\nConnection: x, Close\r\nContent-Encoding: gzip\r\n\r\n").unwrap();
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
        let fields = b"HTTP/1.1 200 OK\r\nCache-Control: public\r\nAge: 5\r\ncache-control: max-age=60\r\n\r\n";
        assert_eq!(
            field(fields, "Cache-Control").as_deref(),
            Some("public, max-age=60")
        );
        assert_eq!(field(fields, "Expires"), None);
        assert!(!head("HTTP/1.0 200 OK\r\n\r\n").unwrap().keep_alive);
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-").unwrap().is_none());
    }
}
