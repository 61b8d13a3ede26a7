//! Reads short, plain members that are complete in a chunk at once instead of event by event. Most
//! members of a small document are.
//!
//! A member that is unusual in any respect, or does not simply stay, is left to the events from its
//! first byte on, before anything is changed. So the events alone decide what is accepted.

use super::{
    CutError,
    cut::JsonCut,
    sink::{CapturedValue, ChunkOutput, CutSink},
    state, string,
};

/// Maximum size of a number that is read at once, in bytes.
const LONGEST_NUMBER: usize = 64;

/// A name and its string, number or literal, followed by a comma or a closing brace.
pub(super) struct PlainMember<'a> {
    name: &'a [u8],
    value: PlainValue<'a>,
    /// Length of the value without quotes, in bytes.
    length: usize,
    /// Whether a comma follows, and not the object's end.
    comma: bool,
    /// Offset of the comma or the brace.
    end: usize,
}

/// A value as written.
enum PlainValue<'a> {
    String(&'a [u8]),
    Number(&'a [u8]),
    Bool(bool),
    Null,
}

impl PlainValue<'_> {
    fn owned(&self) -> CapturedValue {
        // Plain strings and numbers are ASCII.
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap_or_default();
        match *self {
            Self::String(bytes) => CapturedValue::String(text(bytes)),
            Self::Number(bytes) => CapturedValue::Number(text(bytes)),
            Self::Bool(value) => CapturedValue::Bool(value),
            Self::Null => CapturedValue::Null,
        }
    }
}

impl JsonCut<'_> {
    /// Reads the next members, as long as they are plain and simply stay.
    pub(super) fn plain_members(
        &mut self,
        at: &mut usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        while self.scanner.expects_member()
            && self.removing.is_none()
            && let Some(member) = read(out.chunk, *at)
            && let Some(frame) = self.frames.last_mut()
        {
            let rule = self.rules.member(frame.place, member.name);
            let action = self.rules.action(rule.place);
            let longest = member.name.len().max(member.length);
            let too_long = self.rules.max_scalar.is_some_and(|most| longest > most);
            let leads_on = action.passage && !matches!(member.value, PlainValue::Null);
            let unusual = action.remove || action.stream || action.replace;
            if rule.unknown || too_long || leads_on || unusual {
                return Ok(());
            }
            let hash = || state::hash(&self.rules.seed, member.name);
            frame.add(rule.number, hash, &mut self.names)?;
            frame.kept_any = true;
            if action.capture.is_some() {
                self.set(action, member.value.owned());
            }
            // The comma belongs to the next member, and is removed with it.
            out.mark(member.end);
            *at = member.end + usize::from(member.comma);
            self.scanner.member_read(member.comma);
        }
        Ok(())
    }
}

/// Reads the member at `at`; `None` if it is not plain, short and complete.
pub(super) fn read(bytes: &[u8], at: usize) -> Option<PlainMember<'_>> {
    let at = after_blanks(bytes, at);
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let name = string::short(bytes.get(at + 1..)?)?;
    let colon = after_blanks(bytes, at + name.len() + 2);
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    let start = after_blanks(bytes, colon + 1);
    let rest = bytes.get(start..)?;
    let (value, length, quotes) = match rest.first()? {
        b'"' => {
            let text = string::short(rest.get(1..)?)?;
            (PlainValue::String(text), text.len(), 2)
        }
        b't' if rest.starts_with(b"true") => (PlainValue::Bool(true), 4, 0),
        b'f' if rest.starts_with(b"false") => (PlainValue::Bool(false), 5, 0),
        b'n' if rest.starts_with(b"null") => (PlainValue::Null, 4, 0),
        _ => {
            let length = number(rest)?;
            (PlainValue::Number(rest.get(..length)?), length, 0)
        }
    };
    let end = after_blanks(bytes, start + length + quotes);
    let comma = match bytes.get(end)? {
        b',' => true,
        b'}' => false,
        _ => return None,
    };
    Some(PlainMember {
        name,
        value,
        length,
        comma,
        end,
    })
}

fn after_blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Length of a short number without an exponent (RFC 8259 section 6), in bytes.
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let integer = digits(sign);
    if integer == 0 || (integer > 1 && bytes.get(sign) == Some(&b'0')) {
        return None;
    }
    let mut end = sign + integer;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    (end <= LONGEST_NUMBER).then_some(end)
}
