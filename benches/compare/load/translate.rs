//! Turns the head of a prepared HTTP/1.1 request into that of HTTP/2. Pure.

use std::io;

use bytes::Bytes;
use hyper::{
    Request,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};

/// The largest number of header fields of a request.
const FIELDS: usize = 16;

/// Reads the head of an HTTP/1.1 request, and returns the start of its body too.
///
/// # Errors
/// The head is incomplete or malformed.
pub(crate) fn translate(front: Vec<u8>) -> io::Result<(Request<()>, Bytes)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let parsed = head.parse(&front).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut host: &[u8] = b"";
    let mut request = Request::new(());
    for field in head.headers.iter() {
        if field.name.eq_ignore_ascii_case("host") {
            host = field.value;
            continue;
        }
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(io::Error::other)?;
        let mut value = HeaderValue::from_bytes(field.value).map_err(io::Error::other)?;
        // Kept out of the compression's table, as clients should do (RFC 7541, section 7.1.3).
        value.set_sensitive(name == AUTHORIZATION);
        request.headers_mut().append(name, value);
    }
    let path = head.path.unwrap_or_default();
    let uri: Vec<u8> = [b"https://", host, path.as_bytes()].concat();
    *request.uri_mut() = uri.try_into().map_err(io::Error::other)?;
    *request.method_mut() = head
        .method
        .unwrap_or_default()
        .parse()
        .map_err(io::Error::other)?;
    Ok((request, Bytes::from(front).slice(length..)))
}
