//! Formats one log line from named values, as JSON or as text.
//!
//! Relies on the names being plain ASCII literals. Written by hand, since each request ends in one
//! line: `serde_json` with a derive takes twice the instructions (8,800 instead of 4,200). Never
//! allocates except for the line itself and for text that needs JSON escapes.

use std::{
    borrow::Cow,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use data_encoding::HEXLOWER;

use super::{timestamp::push_rfc3339_millis, trace_context::TraceId};

/// Initial capacity of a line, in bytes. Most access records fit.
const LINE_CAPACITY: usize = 832;

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// `name=value` text for a person at a terminal.
    Text,
}

/// A value of a log line.
#[derive(Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// No value: `null` in JSON, left out of text.
    Absent,
    /// A string.
    Text(Cow<'a, str>),
    /// An unsigned integer.
    Count(u64),
    /// A signed integer.
    Number(i64),
    /// A point in time, written in RFC 3339.
    Time(SystemTime),
    /// A duration, written in milliseconds with three decimals.
    Duration(Duration),
    /// A socket address.
    Address(SocketAddr),
    /// `true` or `false`.
    Bool(bool),
    /// The id of a trace, written in hexadecimal digits.
    Trace(TraceId),
}

/// The name of a value, together with the JSON punctuation around it, so that it is appended in
/// one piece. Made by [`field_name!`].
#[derive(Clone, Copy)]
pub struct FieldName(
    /// `,"name":`
    pub &'static str,
);

/// Makes a [`FieldName`] from a literal.
macro_rules! field_name {
    ($name:literal) => {
        $crate::telemetry::log_line::FieldName(concat!(",\"", $name, "\":"))
    };
}
pub(crate) use field_name;

impl FieldName {
    /// The name without punctuation.
    fn bare(self) -> &'static str {
        self.0
            .get(2..self.0.len().saturating_sub(2))
            .unwrap_or_default()
    }
}

/// Formats one line, without a line feed at its end.
pub fn format_line(format: LogFormat, fields: &[(FieldName, FieldValue<'_>)]) -> String {
    let mut text = String::with_capacity(LINE_CAPACITY);
    match format {
        LogFormat::Json => {
            text.push('{');
            for (name, value) in fields {
                // The first name has no comma before it.
                let start = usize::from(text.len() == 1);
                text.push_str(name.0.get(start..).unwrap_or_default());
                value.push_json(&mut text);
            }
            text.push('}');
        }
        LogFormat::Text => {
            for (name, value) in fields
                .iter()
                .filter(|(_, value)| *value != FieldValue::Absent)
            {
                let separator = if text.is_empty() { "" } else { " " };
                text.extend([separator, name.bare(), "="]);
                value.push_json(&mut text);
            }
        }
    }
    text
}

impl FieldValue<'_> {
    /// Appends the value as JSON.
    fn push_json(&self, text: &mut String) {
        match self {
            Self::Absent => text.push_str("null"),
            Self::Text(value) if needs_no_escape(value) => {
                text.push('"');
                text.push_str(value);
                text.push('"');
            }
            Self::Text(value) => {
                text.push_str(&serde_json::Value::from(value.as_ref()).to_string());
            }
            Self::Count(value) => text.push_str(itoa::Buffer::new().format(*value)),
            Self::Number(value) => text.push_str(itoa::Buffer::new().format(*value)),
            Self::Time(value) => {
                text.push('"');
                push_rfc3339_millis(text, *value);
                text.push('"');
            }
            Self::Duration(value) => {
                // 64 bits hold 584,000 years, and divide several times faster than 128.
                let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
                text.push_str(itoa::Buffer::new().format(micros / 1000));
                // `1xyz`: the leading digit keeps zeros, and the point takes its position.
                let decimals = 1000 + micros % 1000;
                let mut buffer = itoa::Buffer::new();
                let decimals = buffer.format(decimals).get(1..).unwrap_or_default();
                text.extend([".", decimals]);
            }
            Self::Address(SocketAddr::V4(address)) => {
                text.push('"');
                for (index, octet) in address.ip().octets().into_iter().enumerate() {
                    text.push_str(if index > 0 { "." } else { "" });
                    text.push_str(itoa::Buffer::new().format(octet));
                }
                text.extend([":", itoa::Buffer::new().format(address.port()), "\""]);
            }
            Self::Address(address) => text.extend(["\"", &address.to_string(), "\""]),
            Self::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Trace(id) => {
                let mut digits = [0; 32];
                HEXLOWER.encode_mut(&id.to_bytes(), &mut digits);
                text.extend(["\"", str::from_utf8(&digits).unwrap_or_default(), "\""]);
            }
        }
    }
}

/// Whether the text is printable ASCII that JSON takes without escapes.
fn needs_no_escape(text: &str) -> bool {
    // No early exit, so that the compiler can check many bytes at once.
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

impl<'a> From<Cow<'a, str>> for FieldValue<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for FieldValue<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<TraceId> for FieldValue<'_> {
    fn from(id: TraceId) -> Self {
        Self::Trace(id)
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
        Self::Time(value)
    }
}

impl From<Duration> for FieldValue<'_> {
    fn from(value: Duration) -> Self {
        Self::Duration(value)
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

    fn fields() -> [(FieldName, FieldValue<'static>); 10] {
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
            (field_name!("i"), true.into()),
            (field_name!("j"), TraceId::new([0x0f; 16]).into()),
        ]
    }

    #[test]
    fn a_json_line_parses_back_to_its_values() {
        let text = format_line(LogFormat::Json, &fields());
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            parsed,
            serde_json::json!({
                "a": "plain text",
                "b": "quote \" back \\ line \n \u{1} \u{7f} ä",
                "c": u64::MAX,
                "d": -3,
                "e": 12_034.005,
                "f": null,
                "g": "127.0.0.1:65535",
                "h": "[::1]:80",
                "i": true,
                "j": "0f".repeat(16),
            })
        );
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_text_line_leaves_out_absent_values() {
        let text = format_line(LogFormat::Text, &fields());
        assert!(text.starts_with("a=\"plain text\" b="), "{text}");
        assert!(
            text.contains("d=-3 e=12034.005 g=\"127.0.0.1:65535\" h=\"[::1]:80\" i=true j=\"0f"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
}
