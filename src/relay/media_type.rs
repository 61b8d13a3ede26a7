//! The media type of a request's body (RFC 9110 section 8.3).
//!
//! Refuses only what speaks against a body: another type, another charset, and parameters that
//! can't be read in one way, as in a list of types. Ignores all other parameters. Never looks at
//! the body: what a video really is, the inspection of its content says.

use crate::parameters::{MalformedParameter, Parameters, split};

/// A media type that some route takes, in whatever way it is written.
#[derive(Debug)]
pub(super) enum MediaType<'a> {
    /// `application/json`.
    Json,
    /// `video/mp4`, or `video/quicktime`, which is what phones call the same container.
    Video,
    /// `multipart/form-data`, with its parameters.
    Form(Parameters<'a>),
}

/// Why a media type is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MediaTypeError {
    /// No route takes it.
    #[error("no route takes this media type")]
    Unknown,
    /// A parameter is malformed. A list of media types is one of these cases.
    #[error("the parameters of the media type are malformed")]
    Parameters,
    /// The `charset` is not UTF-8.
    #[error("the charset of the body must be UTF-8")]
    Charset,
}

impl From<MalformedParameter> for MediaTypeError {
    fn from(_: MalformedParameter) -> Self {
        Self::Parameters
    }
}

impl<'a> MediaType<'a> {
    /// Reads the value of a `Content-Type` field.
    ///
    /// # Errors
    /// The type is none of these, is not written as RFC 9110 says, or has another charset.
    pub(super) fn read(value: &'a [u8]) -> Result<Self, MediaTypeError> {
        // What nearly every request says.
        if value == b"application/json" {
            return Ok(Self::Json);
        }
        let (essence, parameters) = split(value);
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        if is("application/json") {
            check(parameters, Charset::Utf8)?;
            Ok(Self::Json)
        } else if is("video/mp4") || is("video/quicktime") {
            check(parameters, Charset::Meaningless)?;
            Ok(Self::Video)
        } else if is("multipart/form-data") {
            check(parameters.clone(), Charset::Utf8)?;
            Ok(Self::Form(parameters))
        } else {
            Err(MediaTypeError::Unknown)
        }
    }
}

/// What a `charset` means for a media type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    /// It tells how the body is encoded, which must be UTF-8.
    Utf8,
    /// Nothing: the body is not a text. Some tools call every file's charset `binary`.
    Meaningless,
}

/// Reads all parameters, and checks each `charset`.
fn check(parameters: Parameters<'_>, charset: Charset) -> Result<(), MediaTypeError> {
    for parameter in parameters {
        let parameter = parameter?;
        if charset == Charset::Utf8 && parameter.is("charset") && !is_utf8(&parameter.value) {
            return Err(MediaTypeError::Charset);
        }
    }
    Ok(())
}

/// Whether this names UTF-8, or no charset at all.
fn is_utf8(charset: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"utf-8", b"utf8", b""];
    names.iter().any(|name| charset.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<&'static str, MediaTypeError> {
        MediaType::read(value.as_bytes()).map(|media| match media {
            MediaType::Json => "json",
            MediaType::Video => "video",
            MediaType::Form(_) => "form",
        })
    }

    #[test]
    fn a_media_type_is_known_however_it_is_written() {
        for (value, kind) in [
            ("application/json", "json"),
            ("Application/JSON", "json"),
            (" application/json ", "json"),
            ("application/json;", "json"),
            ("application/json ; ;", "json"),
            ("application/json; charset=utf-8", "json"),
            ("application/json;charset=\"UTF-8\"", "json"),
            ("application/json;CHARSET=\"u\\tf-8\"", "json"),
            ("application/json; charset=utf8; charset=UTF-8", "json"),
            ("application/json; charset=", "json"),
            ("application/json; utf-8", "json"),
            (
                "application/json; profile=\"a;charset=gbk\\\"\"; q=0.9",
                "json",
            ),
            (
                "application/json;odata.metadata=none;IEEE754Compatible=false",
                "json",
            ),
            ("video/mp4", "video"),
            ("video/mp4;", "video"),
            ("VIDEO/MP4; codecs=\"avc1.42E01F, mp4a.40.2\"", "video"),
            ("video/mp4;codecs=avc1.64003e,mp4a.40.2", "video"),
            ("video/mp4; charset=binary", "video"),
            ("video/quicktime", "video"),
            ("multipart/form-data; boundary=x", "form"),
            ("multipart/form-data", "form"),
        ] {
            assert_eq!(read(value), Ok(kind), "{value}");
        }
    }

    #[test]
    fn another_type_another_charset_and_a_list_are_not_taken() {
        for (value, error) in [
            ("", MediaTypeError::Unknown),
            (";", MediaTypeError::Unknown),
            ("application", MediaTypeError::Unknown),
            ("application /json", MediaTypeError::Unknown),
            ("text/json", MediaTypeError::Unknown),
            ("application/jsonx", MediaTypeError::Unknown),
            (
                "application/json, application/json",
                MediaTypeError::Unknown,
            ),
            (
                "application/json,text/html;charset=utf-8",
                MediaTypeError::Unknown,
            ),
            ("video/webm", MediaTypeError::Unknown),
            ("multipart/form-data2", MediaTypeError::Unknown),
            ("application/json; charset=gbk", MediaTypeError::Charset),
            (
                "application/json; charset=utf-8,text/html",
                MediaTypeError::Charset,
            ),
            (
                "application/json; charset=utf-8; Charset=latin1",
                MediaTypeError::Charset,
            ),
            (
                "application/json; charset=\"utf\\-16\"",
                MediaTypeError::Charset,
            ),
            (
                "multipart/form-data; boundary=x; charset=gbk",
                MediaTypeError::Charset,
            ),
            (
                "application/json; a=b, text/html",
                MediaTypeError::Parameters,
            ),
            ("video/mp4; a=b, video/mp4", MediaTypeError::Parameters),
            ("video/mp4; codecs=\"avc1", MediaTypeError::Parameters),
            (
                "application/json; charset= utf-8",
                MediaTypeError::Parameters,
            ),
            ("application/json; =x", MediaTypeError::Parameters),
        ] {
            assert_eq!(read(value), Err(error), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn unknown_parameters_change_nothing(
            name in "[a-bd-z][a-z0-9_.-]{0,8}",
            token in "[!#-+.-:<-~]{0,12}",
            quoted in "[ !#-\\[\\]-~]{0,12}",
            blanks in "[ \t]{0,3}",
        ) {
            for value in [
                format!("video/mp4{blanks};{blanks}{name}={token}{blanks};{blanks}"),
                format!("VIDEO/mp4;{name}=\"{quoted}\"{blanks};{name}={token}"),
            ] {
                proptest::prop_assert_eq!(read(&value), Ok("video"), "{}", value);
            }
            let json = format!("application/json;{blanks}{name}=\"{quoted}\";charset=gbk");
            proptest::prop_assert_eq!(read(&json), Err(MediaTypeError::Charset));
        }

        #[test]
        fn any_bytes_are_read_without_harm(value in proptest::collection::vec(0_u8.., 0..60)) {
            let mut text = b"application/json;".to_vec();
            text.extend(value);
            let unknown = matches!(MediaType::read(&text), Err(MediaTypeError::Unknown));
            proptest::prop_assert!(!unknown);
        }
    }
}
