//! A line made of named values, as JSON or as text for a person. Written by hand, since every request ends in one.

use std::{
    borrow::Cow,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use super::{LogFormat, timestamp::push_rfc3339_millis};

/// A usual line fits.
const USUAL_LINE: usize = 640;

/// A value of a line.
#[derive(Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// Nothing is known: `null`, or left out for a person.
    Absent,
    /// Text of any kind.
    Text(Cow<'a, str>),
    /// A count.
    Count(u64),
    /// A number with a sign.
    Number(i64),
    /// A point in time.
    Moment(SystemTime),
    /// In milliseconds, to the microsecond.
    Time(Duration),
    /// Where a connection comes from.
    Address(SocketAddr),
}

/// The name of a value, with all that JSON has between two values: a line has many, so each is one piece.
#[derive(Clone, Copy)]
pub struct FieldName(
    /// `,"name":`
    pub &'static str,
);

/// A [`FieldName`] from a literal.
macro_rules! field_name {
    ($name:literal) => {
        $crate::telemetry::log_line::FieldName(concat!(",\"", $name, "\":"))
    };
}
pub(crate) use field_name;

impl FieldName {
    /// The name alone.
    fn bare(self) -> &'static str {
        self.0
            .get(2..self.0.len().saturating_sub(2))
            .unwrap_or_default()
    }
}

/// One line, without its line feed.
pub fn format_line(format: LogFormat, fields: &[(FieldName, FieldValue<'_>)]) -> String {
    let mut text = String::with_capacity(USUAL_LINE);
    match format {
        LogFormat::Json => {
            text.push('{');
            for (name, field) in fields {
                let first = usize::from(text.len() == 1);
                text.push_str(name.0.get(first..).unwrap_or_default());
                field.write(&mut text);
            }
            text.push('}');
        }
        LogFormat::Text => {
            for (name, field) in fields
                .iter()
                .filter(|(_, field)| *field != FieldValue::Absent)
            {
                let before = if text.is_empty() { "" } else { " " };
                text.extend([before, name.bare(), "="]);
                field.write(&mut text);
            }
        }
    }
    text
}

impl FieldValue<'_> {
    /// As JSON.
    fn write(&self, text: &mut String) {
        match self {
            Self::Absent => text.push_str("null"),
            Self::Text(value) if is_plain(value) => {
                text.push('"');
                text.push_str(value);
                text.push('"');
            }
            Self::Text(value) => {
                text.push_str(&serde_json::Value::from(value.as_ref()).to_string())
            }
            Self::Count(value) => text.push_str(itoa::Buffer::new().format(*value)),
            Self::Number(value) => text.push_str(itoa::Buffer::new().format(*value)),
            Self::Moment(value) => {
                text.push('"');
                push_rfc3339_millis(text, *value);
                text.push('"');
            }
            Self::Time(value) => {
                // 584,000 years are enough, and 64 bits are divided in a fraction of the time.
                let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
                text.push_str(itoa::Buffer::new().format(micros / 1000));
                // Four digits, of which the first is the point's place.
                let rest = 1000 + micros % 1000;
                let mut buffer = itoa::Buffer::new();
                let rest = buffer.format(rest).get(1..).unwrap_or_default();
                text.extend([".", rest]);
            }
            Self::Address(SocketAddr::V4(address)) => {
                text.push('"');
                for (at, octet) in address.ip().octets().into_iter().enumerate() {
                    text.push_str(if at > 0 { "." } else { "" });
                    text.push_str(itoa::Buffer::new().format(octet));
                }
                text.extend([":", itoa::Buffer::new().format(address.port()), "\""]);
            }
            Self::Address(address) => text.extend(["\"", &address.to_string(), "\""]),
        }
    }
}

/// Whether JSON takes the text as it is.
fn is_plain(text: &str) -> bool {
    // Without a way out at each byte, so that many are looked at together.
    text.bytes().fold(true, |plain, byte| {
        plain & matches!(byte, 0x20..0x7f) & (byte != b'"') & (byte != b'\\')
    })
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for FieldValue<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for FieldValue<'_> {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<i64> for FieldValue<'_> {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<SystemTime> for FieldValue<'_> {
    fn from(value: SystemTime) -> Self {
        Self::Moment(value)
    }
}

impl From<Duration> for FieldValue<'_> {
    fn from(value: Duration) -> Self {
        Self::Time(value)
    }
}

impl From<SocketAddr> for FieldValue<'_> {
    fn from(value: SocketAddr) -> Self {
        Self::Address(value)
    }
}

impl<'a, T: Into<FieldValue<'a>>> From<Option<T>> for FieldValue<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> [(FieldName, FieldValue<'static>); 8] {
        [
            (field_name!("a"), "plain text".into()),
            (
                field_name!("b"),
                "quote \" back \\ line \n \u{1} \u{7f} ä".into(),
            ),
            (field_name!("c"), 18_446_744_073_709_551_615_u64.into()),
            (field_name!("d"), (-3_i64).into()),
            (field_name!("e"), Duration::from_micros(12_034_005).into()),
            (field_name!("f"), Option::<u64>::None.into()),
            (
                field_name!("g"),
                SocketAddr::from(([127, 0, 0, 1], 65_535)).into(),
            ),
            (
                field_name!("h"),
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80)).into(),
            ),
        ]
    }

    #[test]
    fn json_is_read_back_as_it_was_meant() {
        let text = format_line(LogFormat::Json, &fields());
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read,
            serde_json::json!({
                "a": "plain text",
                "b": "quote \" back \\ line \n \u{1} \u{7f} ä",
                "c": u64::MAX,
                "d": -3,
                "e": 12_034.005,
                "f": null,
                "g": "127.0.0.1:65535",
                "h": "[::1]:80",
            })
        );
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_person_is_spared_what_is_absent() {
        let text = format_line(LogFormat::Text, &fields());
        assert!(text.starts_with("a=\"plain text\" b="), "{text}");
        assert!(
            text.ends_with("d=-3 e=12034.005 g=\"127.0.0.1:65535\" h=\"[::1]:80\""),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
}
