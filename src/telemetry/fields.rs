//! A line made of named values, as JSON or as text for a person. Written by hand, since every request ends in one.

use std::{
    borrow::Cow,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use super::{LogFormat, timestamp::push_rfc3339_millis};

/// A usual line fits.
const ROOM: usize = 640;

/// A value of a line.
#[derive(Debug, PartialEq)]
pub enum Field<'a> {
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

/// One line, without its line feed.
pub fn line(format: LogFormat, fields: &[(&str, Field<'_>)]) -> String {
    let mut text = String::with_capacity(ROOM);
    match format {
        LogFormat::Json => {
            for (name, field) in fields {
                text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
                text.push_str(name);
                text.push_str("\":");
                field.write(&mut text);
            }
            text.push('}');
        }
        LogFormat::Text => {
            for (name, field) in fields.iter().filter(|(_, field)| *field != Field::Absent) {
                let before = if text.is_empty() { "" } else { " " };
                text.extend([before, name, "="]);
                field.write(&mut text);
            }
        }
    }
    text
}

impl Field<'_> {
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
                let micros = value.as_micros();
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

impl<'a> From<&'a str> for Field<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Field<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Field<'_> {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<i64> for Field<'_> {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<SystemTime> for Field<'_> {
    fn from(value: SystemTime) -> Self {
        Self::Moment(value)
    }
}

impl From<Duration> for Field<'_> {
    fn from(value: Duration) -> Self {
        Self::Time(value)
    }
}

impl From<SocketAddr> for Field<'_> {
    fn from(value: SocketAddr) -> Self {
        Self::Address(value)
    }
}

impl<'a, T: Into<Field<'a>>> From<Option<T>> for Field<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> [(&'static str, Field<'static>); 8] {
        [
            ("a", "plain text".into()),
            ("b", "quote \" back \\ line \n \u{1} \u{7f} ä".into()),
            ("c", 18_446_744_073_709_551_615_u64.into()),
            ("d", (-3_i64).into()),
            ("e", Duration::from_micros(12_034_005).into()),
            ("f", Option::<u64>::None.into()),
            ("g", SocketAddr::from(([127, 0, 0, 1], 65_535)).into()),
            ("h", SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80)).into()),
        ]
    }

    #[test]
    fn json_is_read_back_as_it_was_meant() {
        let text = line(LogFormat::Json, &fields());
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
        let text = line(LogFormat::Text, &fields());
        assert!(text.starts_with("a=\"plain text\" b="), "{text}");
        assert!(
            text.ends_with("d=-3 e=12034.005 g=\"127.0.0.1:65535\" h=\"[::1]:80\""),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
}
