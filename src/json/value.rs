//! The values that a cut was asked for, and the one that is being read.

use super::rules::NodeAction;

/// Bytes of a captured string, number or compared member name at the most.
pub(super) const MAX_CAPTURE: usize = 4096;
/// Bytes of most of them.
const USUAL: usize = 32;

/// A wanted value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CapturedValue {
    /// Not in the document.
    #[default]
    Absent,
    /// A string, decoded.
    String(String),
    /// A string that went to the sink as it came, through [`CutSink::text`](super::sink::CutSink::text).
    Streamed,
    /// A number, as written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or array.
    Container,
    /// A string or number over 4 KiB.
    TooLong,
}

/// A string, number or literal that is being read.
pub(super) struct CurrentScalar {
    pub(super) action: NodeAction,
    pub(super) string: bool,
    pub(super) raw_length: usize,
    pub(super) decoded: Vec<u8>,
}

impl CurrentScalar {
    /// Begins one with the last of these bytes.
    pub(super) fn begin(action: NodeAction, string: bool, bytes: &[u8]) -> Self {
        let wanted = action.capture.is_some() && !(string && action.stream);
        let mut decoded = Vec::with_capacity(if wanted { USUAL } else { 0 });
        // A string begins behind its quote.
        if wanted && !string {
            decoded.extend(bytes.last());
        }
        Self {
            action,
            string,
            raw_length: usize::from(!string),
            decoded,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        // One byte over the limit is enough to know that it is over.
        let room = (MAX_CAPTURE + 1).saturating_sub(self.decoded.len());
        self.decoded
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    pub(super) fn value(self) -> CapturedValue {
        if self.action.capture.is_none() {
            return CapturedValue::Absent;
        }
        match String::from_utf8(self.decoded) {
            _ if self.string && self.action.stream => CapturedValue::Streamed,
            Ok(text) if text.len() <= MAX_CAPTURE => match text.as_str() {
                _ if self.string => CapturedValue::String(text),
                "null" => CapturedValue::Null,
                "true" => CapturedValue::Bool(true),
                "false" => CapturedValue::Bool(false),
                _ => CapturedValue::Number(text),
            },
            _ => CapturedValue::TooLong,
        }
    }
}
