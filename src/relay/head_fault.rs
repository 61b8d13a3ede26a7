//! What a head says that no body can be received for: faults of its target, of the gateway's own
//! header fields, and of the media type.
//!
//! Each has a text for the caller and a word for the access record. Never repeats a value that the
//! caller sent.

use super::reason::RefusalReason;
use crate::body::nonce::Nonce;

/// What is malformed in a head.
#[derive(Debug, thiserror::Error)]
pub enum HeadFault {
    /// The target has a query.
    #[error("the path takes no query string")]
    Query,
    /// A field that is required.
    #[error("a video as the body needs the header field {0}")]
    MissingField(&'static str),
    /// A field that must occur once.
    #[error("the header field {0} occurs more than once")]
    RepeatedField(&'static str),
    /// A field that can't be a member of a JSON document.
    #[error("the header field {0} is empty, too long, or contains blanks or quotes")]
    MalformedField(&'static str),
    /// A field that is no nonce.
    #[error("the header field {0} {form}", form = Nonce::FORM)]
    Nonce(&'static str),
    /// A form whose parts can't be told apart.
    #[error(
        "a multipart/form-data body needs one valid boundary; let the HTTP library write the \
         Content-Type"
    )]
    Boundary,
    /// What a program that embeds the gateway can't take, for this reason.
    #[error("{0}")]
    Site(String),
}

/// What speaks against a body's media type or coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaFault {
    /// It is compressed.
    #[error("the body must not have a Content-Encoding")]
    Encoding,
    /// It is text of another charset.
    #[error("the charset of the body must be UTF-8")]
    Charset,
    /// The type can't be read in one way.
    #[error("the parameters of the media type are malformed")]
    Parameters,
    /// Not one of the types of a route that verifies.
    #[error(
        "the body must be application/json, video/mp4, video/quicktime or multipart/form-data, and \
         say so once"
    )]
    NotVideo,
    /// Not the type of the other routes.
    #[error("the body must be application/json, and say so once")]
    NotJson,
}

impl HeadFault {
    /// The reason for the access record.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::Query => RefusalReason::new("query"),
            Self::MissingField(name) => RefusalReason::about("missing_field", name),
            Self::RepeatedField(name) => RefusalReason::about("duplicate_field", name),
            Self::MalformedField(name) | Self::Nonce(name) => {
                RefusalReason::about("malformed_field", name)
            }
            Self::Boundary => RefusalReason::new("boundary"),
            Self::Site(_) => RefusalReason::new("site"),
        }
    }
}

impl MediaFault {
    /// The word for the access record.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Encoding => "content_encoding",
            Self::Charset => "charset",
            Self::Parameters => "media_type_parameters",
            Self::NotVideo | Self::NotJson => "media_type",
        }
    }
}
