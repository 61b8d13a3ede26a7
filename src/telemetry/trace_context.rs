//! The trace that a request belongs to: W3C Trace Context, as `traceparent` and `tracestate` say
//! it.
//!
//! Strict by the recommendation: what is not exactly of its form counts as absent. Relies on its
//! callers to read the fields of trusted peers only. Never fails a request, and never keeps more
//! of a field than its form allows.

use std::fmt;

use data_encoding::HEXLOWER;
use hyper::HeaderMap;

/// The id of a trace: 16 bytes, not all of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span: 8 bytes, not all of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// The flags of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags(u8);

/// What `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span of the peer that sent the request.
    pub parent: SpanId,
    /// The flags.
    pub flags: TraceFlags,
}

/// What `tracestate` says: the members in their order, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceState(String);

/// What the next server is told of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingTrace {
    /// The span that sends the request.
    pub context: TraceContext,
    /// The state of the peer that the trace came from.
    pub state: Option<TraceState>,
}

impl TraceId {
    /// `None` if all bytes are 0.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// `None` if all bytes are 0.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl TraceFlags {
    const SAMPLED: u8 = 1;

    /// The flags of a trace that is recorded, or not.
    pub fn new(sampled: bool) -> Self {
        Self(if sampled { Self::SAMPLED } else { 0 })
    }

    /// Whether the peer may have recorded the trace.
    pub fn sampled(self) -> bool {
        self.0 & Self::SAMPLED != 0
    }
}

impl TraceContext {
    /// The context in the header fields of a trusted peer.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all("traceparent").iter();
        match (fields.next(), fields.next()) {
            (Some(field), None) => Self::parse(field.as_bytes()),
            // Two of them name two parents.
            _ => None,
        }
    }

    /// Parses the value of `traceparent` (section 3.2.2). Of a version that is not known yet, the
    /// beginning is read as the recommendation says (section 3.2.4).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let [version] = hex(text.get(..2)?)?;
        let [flags] = hex(text.get(53..55)?)?;
        let separated = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
        let (known_flags, ends) = match (version, text.get(55)) {
            (0xff, _) | (0, Some(_)) => return None,
            (0, None) => (flags, true),
            (_, next) => (
                flags & TraceFlags::SAMPLED,
                next.is_none_or(|next| *next == b'-'),
            ),
        };
        if !(separated && ends) {
            return None;
        }
        Some(Self {
            trace_id: TraceId::new(hex(text.get(3..35)?)?)?,
            parent: SpanId::new(hex(text.get(36..52)?)?)?,
            flags: TraceFlags(known_flags),
        })
    }
}

/// The header lines of a request over HTTP/1.1, each with its end.
impl fmt::Display for OutgoingTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "traceparent: {}\r\n", self.context)?;
        match &self.state {
            Some(state) => write!(f, "tracestate: {}\r\n", state.as_str()),
            None => Ok(()),
        }
    }
}

/// The value of `traceparent`, of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            parent,
            flags,
        } = self;
        write!(f, "00-{trace_id}-{parent}-{:02x}", flags.0)
    }
}

impl TraceState {
    /// Maximum size, in bytes, that the recommendation asks to pass on.
    const MAX_BYTES: usize = 512;
    /// Members that are longer are left out first.
    const LONG_MEMBER: usize = 128;
    const MAX_MEMBERS: usize = 32;

    /// The state in the header fields of a trusted peer, which beside no valid `traceparent` means
    /// nothing. A state that is malformed, or names a member twice, counts as absent; one that is
    /// too long loses its long members, then its last ones.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut members: Vec<&str> = Vec::new();
        for field in headers.get_all("tracestate") {
            for member in field.to_str().ok()?.split(',') {
                let member = member.trim_matches([' ', '\t']);
                if member.is_empty() {
                    continue;
                }
                let key = state_key(member)?;
                let known = |other: &&str| state_key(other) == Some(key);
                if members.len() == Self::MAX_MEMBERS || members.iter().any(known) {
                    return None;
                }
                members.push(member);
            }
        }
        let length = |members: &[&str]| {
            let bytes: usize = members.iter().map(|member| member.len()).sum();
            bytes + members.len().saturating_sub(1)
        };
        if length(&members) > Self::MAX_BYTES {
            members.retain(|member| member.len() <= Self::LONG_MEMBER);
        }
        while length(&members) > Self::MAX_BYTES {
            members.pop();
        }
        (!members.is_empty()).then(|| Self(members.join(",")))
    }

    /// The value of the field.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key of a well-formed member of `tracestate` (section 3.3.1.3).
fn state_key(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let begins = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let in_key = |byte: u8| begins(byte) || b"_-*/@".contains(&byte);
    let in_value = |byte: u8| matches!(byte, 0x20..=0x7e) && !b",=".contains(&byte);
    let fits = key.bytes().next().is_some_and(begins)
        && key.len() <= 256
        && key.bytes().all(in_key)
        && (1..=256).contains(&value.len())
        && value.bytes().all(in_value);
    fits.then_some(key)
}

/// Bytes from exactly so many lower-case hexadecimal digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if HEXLOWER.decode_len(text.len()) != Ok(N) {
        return None;
    }
    HEXLOWER.decode_mut(text, &mut bytes).ok()?;
    Some(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_traceparent_is_read_to_its_parts() {
        let context = TraceContext::parse(GOOD.as_bytes()).unwrap();
        let ids = format!("{} {}", context.trace_id, context.parent);
        assert_eq!(ids, "0af7651916cd43dd8448eb211c80319c b7ad6b7169203331");
        assert!(context.flags.sampled());
        let parse = |text: &str| TraceContext::parse(text.as_bytes());
        assert_eq!(parse(GOOD), Some(context));
        let flags = |text: &str| parse(text).unwrap().flags;
        assert!(!flags(&GOOD.replace("-01", "-00")).sampled());
        assert!(flags(&GOOD.replace("-01", "-ff")).sampled());
        let later = GOOD.replacen("00-", "cc-", 1);
        for text in [later.clone(), format!("{later}-what-comes"), later + "-"] {
            assert_eq!(parse(&text).unwrap().trace_id, context.trace_id, "{text}");
        }
    }

    #[test]
    fn a_traceparent_of_another_form_is_absent() {
        let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
        for bad in [
            String::new(),
            GOOD.to_uppercase(),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replacen("00-", "0-", 1),
            GOOD.replacen("00-", "0x-", 1),
            GOOD.replacen("00-", "cC-", 1),
            GOOD.replacen("0af7651916cd43dd8448eb211c80319c", &zero_trace, 1),
            GOOD.replacen("b7ad6b7169203331", &zero_span, 1),
            GOOD.replacen("0af7", "0aF7", 1),
            GOOD.replacen("0af7", "0ag7", 1),
            GOOD.replacen("0af7", "0af", 1),
            GOOD.replacen("b7ad", "b7adb7", 1),
            GOOD.replace('-', "_"),
            GOOD.replacen("-01", "-1", 1),
            GOOD.replacen("-01", "-0x", 1),
            format!("{GOOD}-"),
            format!("{GOOD}-00"),
            format!("{GOOD} "),
            format!(" {GOOD}"),
            GOOD.replacen("00-", "cc-", 1) + ".what",
            GOOD.replacen("00-", "cc-", 1) + "0",
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
        }
        for length in 0..GOOD.len() {
            assert_eq!(TraceContext::parse(&GOOD.as_bytes()[..length]), None);
        }
        let field = ("traceparent", GOOD);
        assert!(TraceContext::from_headers(&headers(&[field])).is_some());
        assert_eq!(TraceContext::from_headers(&headers(&[field, field])), None);
        assert_eq!(TraceContext::from_headers(&headers(&[])), None);
    }

    #[test]
    fn a_tracestate_is_kept_whole_or_bounded_or_not_at_all() {
        let state = |values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|value| ("tracestate", *value)).collect();
            TraceState::from_headers(&headers(&fields)).map(|state| state.0)
        };
        let kept = |values: &[&str], wanted: &str| {
            assert_eq!(state(values).as_deref(), Some(wanted), "{values:?}");
        };
        kept(&["congo=t61rcWkgMzE"], "congo=t61rcWkgMzE");
        kept(&["a=1 , b=2\t,,", "", "1t@s=3"], "a=1,b=2,1t@s=3");
        for bad in [
            "", ",", "a", "=1", "a=", "A=1", "a=1,a=2", "a=1=2", "a b=1", "_a=1", "a=\u{e9}",
        ] {
            assert_eq!(state(&[bad]), None, "{bad}");
        }
        let many = |count: usize| {
            let members: Vec<_> = (0..count).map(|at| format!("k{at}=v")).collect();
            members.join(",")
        };
        kept(&[&many(32)], &many(32));
        assert_eq!(state(&[&many(33)]), None);
        let long = format!("long={}", "x".repeat(200));
        let short = |name: &str| format!("{name}={}", "x".repeat(100));
        let whole = [
            short("a"),
            long,
            short("b"),
            short("c"),
            short("d"),
            short("e"),
        ]
        .join(",");
        kept(
            &[&whole],
            &[short("a"), short("b"), short("c"), short("d")].join(","),
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_causes_a_panic(bytes in proptest::collection::vec(0x20_u8..0x7f, 0..80)) {
            let _ = TraceContext::parse(&bytes);
            let mut headers = HeaderMap::new();
            headers.insert("tracestate", HeaderValue::from_bytes(&bytes).unwrap());
            let _ = TraceState::from_headers(&headers);
        }
    }
}
