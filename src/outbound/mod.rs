//! One HTTP/1.1 exchange with another server, over TLS or plain TCP: connect, send the request,
//! read the response to its exact end.
//!
//! [`origin`] parses URLs, and [`user_info`] the login in one. [`dial`] opens a [`connection`]: it
//! tries the addresses ([`race`]) of a name ([`names`]), or asks a [`proxy`] for a [`tunnel`].
//! [`exchange`] sends a [`request`] and reads the response with [`head`] and [`framing`], and
//! [`fetch`] reads a whole document and how long it may be cached. [`server_date`] reads a server's
//! clock from a response, and [`advice`] says what to do about a failed opening. [`probe`] only
//! asks whether a server is there.
//! Nothing here interprets the bodies it carries, follows a redirect, or sends a request twice.
//! Opening a connection and a probe have a time limit, which is given; nothing else has one.

pub mod advice;
pub mod connection;
pub mod dial;
pub mod exchange;
pub mod fetch;
pub mod framing;
pub mod head;
pub mod names;
pub mod origin;
pub mod probe;
pub mod proxy;
mod race;
pub mod request;
pub mod server_date;
pub mod tunnel;
pub mod user_info;

/// Why bytes can't be read as an HTTP/1.1 response, or could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedResponse {
    /// The head does not parse.
    #[error("the head of the response is malformed")]
    Head,
    /// The head exceeds the limit.
    #[error("the head of the response is too large")]
    HeadTooLarge,
    /// The connection ended inside the head.
    #[error("the response ended in its head")]
    HeadTruncated,
    /// More interim (1xx) responses than the limit.
    #[error("too many interim responses")]
    TooManyInterim,
    /// `Content-Length` is not a number.
    #[error("the length of the response is malformed")]
    Length,
    /// Two different `Content-Length`s.
    #[error("the response has two lengths")]
    TwoLengths,
    /// A transfer coding other than a single `chunked`.
    #[error("the response has an unknown transfer coding")]
    TransferCoding,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("the response has both a length and chunks")]
    LengthAndChunks,
    /// A chunk's size line, or the trailers, exceed the limit.
    #[error("a chunk of the response has too long a head")]
    ChunkHeadTooLong,
    /// A chunk violates RFC 9112 section 7.1.
    #[error("a chunk of the response is malformed")]
    Chunk,
    /// The connection ended inside the body.
    #[error("the response ended too early")]
    BodyTruncated,
}
