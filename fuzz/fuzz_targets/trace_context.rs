//! Arbitrary `traceparent` and `tracestate` fields from a trusted proxy. Both agree with a slow and
//! plain reading, and what the gateway passes on is read back as it is.

#![no_main]

use hyper::{HeaderMap, header::HeaderValue};
use libfuzzer_sys::fuzz_target;
use liveness_gateway::telemetry::trace_context::{OutgoingTrace, TraceContext, TraceState};

/// The size that a state may have, in bytes, without losing a member.
const WHOLE: usize = 512;

// Each line begins with `p` or `s`, which says whether it is a line of `traceparent` or of
// `tracestate`.
fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    let (mut parents, mut states) = (Vec::new(), Vec::new());
    for line in data.split(|&byte| byte == b'\n') {
        let Some((kind, value)) = line.split_first() else {
            continue;
        };
        let Ok(field) = HeaderValue::from_bytes(value) else {
            continue;
        };
        match kind {
            b'p' => {
                headers.append("traceparent", field);
                parents.push(value);
            }
            b's' => {
                headers.append("tracestate", field);
                states.push(value);
            }
            _ => {}
        }
    }
    let context = TraceContext::from_headers(&headers);
    let found = context.map(|context| {
        let ids = (context.trace_id.to_string(), context.parent.to_string());
        (ids.0, ids.1, context.flags.sampled())
    });
    let plain = match parents[..] {
        [parent] => plain_parent(&String::from_utf8_lossy(parent)),
        _ => None,
    };
    assert_eq!(found, plain);
    let state = TraceState::from_headers(&headers);
    check_state(state.as_ref(), &states);
    if let Some(context) = context {
        passed_on(context, state);
    }
});

/// Trace id, span id, and whether the trace is sampled.
fn plain_parent(text: &str) -> Option<(String, String, bool)> {
    let parts: Vec<_> = text.split('-').collect();
    let [version, trace, span, flags, rest @ ..] = &parts[..] else {
        return None;
    };
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|it| b"0123456789abcdef".contains(&it))
    };
    let formed = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let known = *version != "ff" && (*version != "00" || rest.is_empty());
    let zeros = |text: &str| text.bytes().all(|digit| digit == b'0');
    let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags % 2 == 1);
    (formed && known && !zeros(trace) && !zeros(span))
        .then(|| ((*trace).to_owned(), (*span).to_owned(), sampled))
}

/// The members of the fields, if all of them are well-formed and have different keys.
fn plain_members<'a>(states: &[&'a [u8]]) -> Option<Vec<&'a str>> {
    let mut members = Vec::new();
    for state in states {
        for member in std::str::from_utf8(state).ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if !member.is_empty() {
                members.push(member);
            }
        }
    }
    let mut keys = Vec::new();
    for member in &members {
        let (key, value) = member.split_once('=')?;
        let fits = |text: &str| (1..=256).contains(&text.len());
        let of_key = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let formed = key.starts_with(of_key)
            && key.chars().all(|it| of_key(it) || "_-*/@".contains(it))
            && value.chars().all(|it| matches!(it, ' '..='~') && it != '=');
        if !(formed && fits(key) && fits(value)) || keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
    (members.len() <= 32).then_some(members)
}

fn check_state(state: Option<&TraceState>, fields: &[&[u8]]) {
    let Some(members) = plain_members(fields) else {
        assert_eq!(state, None);
        return;
    };
    let whole = members.join(",");
    let kept = state.map_or("", TraceState::as_str);
    if whole.len() <= WHOLE {
        assert_eq!(kept, whole);
        return;
    }
    // Some are left out, and the others keep their order.
    assert!(kept.len() <= WHOLE);
    let mut left = members.iter();
    for member in kept.split(',').filter(|member| !member.is_empty()) {
        assert!(left.any(|it| *it == member), "{member} in {members:?}");
    }
}

/// What the next server reads is what the gateway has read.
fn passed_on(context: TraceContext, state: Option<TraceState>) {
    let outgoing = OutgoingTrace { context, state };
    let mut headers = HeaderMap::new();
    let text = outgoing.to_string();
    for line in text.split_terminator("\r\n") {
        let (name, value) = line.split_once(": ").expect("a field");
        let name = match name {
            "traceparent" => "traceparent",
            "tracestate" => "tracestate",
            other => panic!("{other}"),
        };
        headers.append(name, value.parse().expect("a value"));
    }
    assert_eq!(TraceContext::from_headers(&headers), Some(context));
    assert_eq!(TraceState::from_headers(&headers), outgoing.state);
}
