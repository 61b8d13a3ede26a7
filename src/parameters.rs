//! Header values with parameters, such as `multipart/form-data; boundary="x"` (RFC 9110 section
//! 5.6.6): a media type, or the `Content-Disposition` of a form's part.
//!
//! Lenient where real senders differ from the grammar without being ambiguous: an empty parameter
//! is skipped, one without a value has an empty one, an unquoted value may have any visible
//! characters. Never decides which parameters
//! may be there, nor how often.

use std::borrow::Cow;

/// A parameter that can't be read in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a parameter is malformed")]
pub struct MalformedParameter;

/// One parameter.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name, as written.
    pub name: &'a [u8],
    /// Its value, without quotes and escapes.
    pub value: Cow<'a, [u8]>,
}

impl Parameter<'_> {
    /// Whether it has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The parameters of a value, in their order. Nothing follows an error.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    /// Begins behind a value or a parameter.
    rest: &'a [u8],
}

/// Splits a value into what precedes its first `;`, without blanks around it, and its parameters.
pub fn split(value: &[u8]) -> (&[u8], Parameters<'_>) {
    let end = value.iter().position(|byte| *byte == b';');
    let (front, rest) = value.split_at(end.unwrap_or(value.len()));
    (trim(front), Parameters { rest })
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<Parameter<'a>, MalformedParameter>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = trim(self.rest);
        loop {
            match rest {
                [] => return None,
                [b';', behind @ ..] => rest = trim(behind),
                _ => break,
            }
        }
        self.rest = &[];
        let (parameter, behind) = match parameter(rest) {
            Some(read) => read,
            None => return Some(Err(MalformedParameter)),
        };
        self.rest = behind;
        Some(Ok(parameter))
    }
}

/// Reads one parameter, up to the end or the next `;`.
fn parameter(text: &[u8]) -> Option<(Parameter<'_>, &[u8])> {
    let end = text.iter().position(|byte| !is_token(*byte));
    let (name, text) = text.split_at(end.unwrap_or(text.len()));
    if name.is_empty() {
        return None;
    }
    let (value, behind) = match text {
        [b'=', b'"', quoted @ ..] => unquote(quoted)?,
        [b'=', text @ ..] => {
            let end = text
                .iter()
                .position(|byte| matches!(byte, b';' | b' ' | b'\t'));
            let (value, behind) = text.split_at(end.unwrap_or(text.len()));
            let plain = |byte: &u8| *byte != b'"' && !byte.is_ascii_control();
            value.iter().all(plain).then_some((value.into(), behind))?
        }
        _ => (Cow::default(), text),
    };
    let behind = trim(behind);
    let ends = matches!(behind, [] | [b';', ..]);
    ends.then_some((Parameter { name, value }, behind))
}

/// Reads a quoted text behind its first quote, and returns what follows its last one.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut value: Cow<'_, [u8]> = (&[][..]).into();
    let mut rest = text;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (plain, behind) = rest.split_at(end);
        if !plain.iter().all(is_text) {
            return None;
        }
        match value.is_empty() {
            true => value = plain.into(),
            false => value.to_mut().extend_from_slice(plain),
        }
        match behind {
            [b'\\', escaped, behind @ ..] if is_text(escaped) => {
                value.to_mut().push(*escaped);
                rest = behind;
            }
            [b'"', behind @ ..] => return Some((value, behind)),
            _ => return None,
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a quoted text may have this byte: no control characters, but any other encoding.
fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || !byte.is_ascii_control()
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<String> {
        let (front, parameters) = split(value.as_bytes());
        let mut text = String::from_utf8_lossy(front).into_owned();
        for parameter in parameters {
            let Parameter { name, value } = parameter.ok()?;
            let (name, value) = (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(&value),
            );
            text += &format!(" [{name}={value}]");
        }
        Some(text)
    }

    #[test]
    fn each_way_to_write_parameters_is_read() {
        for (value, wanted) in [
            ("", ""),
            ("a/b", "a/b"),
            (" a/b ;", "a/b"),
            ("a/b;;; c=d ;", "a/b [c=d]"),
            ("a/b;c=d;E=f", "a/b [c=d] [E=f]"),
            ("a/b\t;\tc=\"d;e\" ; f=\"\"", "a/b [c=d;e] [f=]"),
            ("a/b; c=", "a/b [c=]"),
            ("a/b; c", "a/b [c=]"),
            ("a/b; c ; d=e", "a/b [c=] [d=e]"),
            ("a/b; c=d,e.f", "a/b [c=d,e.f]"),
            ("a; c=\"d\\\"e\\\\f\\g\"", "a [c=d\"e\\fg]"),
            ("a; c=\"\\d\"", "a [c=d]"),
            ("a; c=x/y=:z?+'(),_.", "a [c=x/y=:z?+'(),_.]"),
            (
                "a; c=\"视频.mp4\"; d*=utf-8''%E8%A7%86",
                "a [c=视频.mp4] [d*=utf-8''%E8%A7%86]",
            ),
            ("a; c=%22; c=2", "a [c=%22] [c=2]"),
        ] {
            assert_eq!(read(value).as_deref(), Some(wanted), "{value}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_malformed() {
        for value in [
            "a; =b",
            "a; b =c",
            "a; b= c",
            "a; b=\"c",
            "a; b=\"c\\",
            "a; b=\"c\\\"",
            "a; b=\"c\"d",
            "a; b=c\"d\"",
            "a; b=c d=e",
            "a; b=\"c\u{1}\"",
            "a; b=\"\\\u{1}\"",
            "a; b=c\u{7f}",
            "a; b c=d",
            "a; b=\"c\" \"d\"",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn nothing_follows_an_error() {
        let (_, mut parameters) = split(b"a; =b; c=d");
        assert_eq!(parameters.next(), Some(Err(MalformedParameter)));
        assert_eq!(parameters.next(), None);
    }
}
