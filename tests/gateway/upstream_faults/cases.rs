//! What an upstream may do, and what its caller then gets.

use std::sync::Arc;

use tokio::sync::Barrier;

use crate::support::upstream::{
    answer,
    scripted::Step::{self, Drip, Endless, Fin, Head, Meet, NearlyAll, Read, Request, Reset, Send},
};

pub(super) const PASS: &str =
    r#"{"error_code":0,"serverlogid":1,"result":{"action_verify":"pass"}}"#;

/// What a try of the same upload after the failed one gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Retry {
    /// Nobody knows whether Qiniu took the first one, so no other is sent.
    Unknown,
    /// The first one was certainly not taken: the session is still good.
    Passes,
    /// The same response, without a call.
    Replayed,
}

use Retry::{Passes, Replayed, Unknown};

pub(super) struct Case {
    pub(super) label: String,
    pub(super) script: Vec<Step>,
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) retry: Retry,
}

/// A case whose script leads to this status and code.
fn case(
    label: impl Into<String>,
    script: Vec<Step>,
    (status, code): (u16, &'static str),
    retry: Retry,
) -> Case {
    let label = label.into();
    Case {
        label,
        script,
        status,
        code,
        retry,
    }
}

const INVALID: (u16, &str) = (502, "upstream_invalid_response");
const TIMEOUT: (u16, &str) = (504, "upstream_timeout");

/// Breaks of a small upload and of its response.
pub(super) fn breaks() -> Vec<Case> {
    let whole = answer("200 OK", PASS);
    let body = whole.len() - PASS.len();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n";
    let all = chunked.len();
    let mut cases = Vec::new();
    for (ends, end) in [("reset", Reset), ("closed", Fin)] {
        let mut add = |label: &str, mut script: Vec<Step>| {
            script.push(end.clone());
            cases.push(case(format!("{ends} {label}"), script, INVALID, Unknown));
        };
        add("at once", vec![]);
        add("after one byte", vec![Read(1)]);
        add("in the request's head", vec![Read(60)]);
        add("after the request's head", vec![Head]);
        add("in the request's body", vec![Head, Read(1000)]);
        add("before the request's last byte", vec![NearlyAll]);
        add("after the request", vec![Request]);
        // In the version, the status, its reason, a name and a value.
        let in_head = [1, 8, 9, 11, 12, 14, 17, 22, 40];
        let around_its_end = [body - 2, body, body + 1, whole.len() - 1];
        for length in in_head.into_iter().chain(around_its_end) {
            let script = vec![Request, Send(whole[..length].to_vec())];
            add(&format!("after {length} bytes of the response"), script);
        }
        for length in [all - 3, all - 1, all] {
            let script = vec![Request, Send(chunked[..length].to_vec())];
            add(&format!("after {length} bytes of chunks"), script);
        }
    }
    let unending = format!("HTTP/1.1 200 OK\r\n\r\n{PASS}");
    let reset = vec![Request, Send(unending.into()), Reset];
    let label = "reset where a close would be the end";
    cases.push(case(label, reset, INVALID, Unknown));
    let script = vec![Request, Send(whole), Reset];
    let label = "reset after the whole response";
    cases.push(case(label, script, (200, ""), Replayed));
    cases.extend(endless_heads());
    cases
}

/// Responses whose head or framing never ends.
fn endless_heads() -> impl Iterator<Item = Case> {
    let status = "HTTP/1.1 200 OK\r\n";
    let chunks = &format!("{status}Transfer-Encoding: chunked\r\n\r\n");
    let interim = "HTTP/1.1 102 Processing\r\n\r\n";
    [
        ("fields", status.to_owned(), "X-More: x\r\n"),
        ("field", format!("{status}X: "), "x"),
        ("status", "HTTP/1.1 200 ".to_owned(), "x"),
        ("interim responses", String::new(), interim),
        ("size of a chunk", chunks.clone(), "0"),
        ("extension of a chunk", format!("{chunks}2;"), "x"),
        (
            "trailers",
            format!("{chunks}2\r\n{{}}\r\n0\r\n"),
            "X: x\r\n",
        ),
    ]
    .map(|(what, begin, more)| {
        let script = vec![Request, Send(begin.into()), Endless(more.into())];
        case(format!("endless {what}"), script, INVALID, Unknown)
    })
    .into_iter()
}

/// Responses to an upload of which most has not arrived.
pub(super) fn early_responses() -> Vec<Case> {
    let busy = (503, "upstream_busy");
    let credentials = (502, "upstream_rejected_credentials");
    let rejected = (502, "upstream_rejected_request");
    let failed = (502, "upstream_error");
    let statuses = [
        ("413 X", (413, "body_too_large"), Passes),
        ("400 X", rejected, Passes),
        ("401 X", credentials, Passes),
        ("429 X", busy, Passes),
        ("503 X", busy, Passes),
        ("500 X", failed, Unknown),
        ("302 X", failed, Unknown),
    ]
    .map(|(status, told, retry)| (status, answer(status, "{}"), told, retry));
    let lapsed = r#"{"error_code":216502,"error_msg":"session lapse"}"#;
    let whole = answer("200 OK", PASS);
    let bodies = [
        (
            "an error of Qiniu's",
            answer("200 OK", lapsed),
            (200, ""),
            Replayed,
        ),
        ("half a pass", whole[..60].to_vec(), INVALID, Unknown),
        ("a pass", whole, INVALID, Unknown),
        ("nonsense", b"\0\x01\x02\r\n\r\n".to_vec(), INVALID, Unknown),
    ];
    let responses = statuses.into_iter().chain(bodies);
    let responses = responses.map(|(label, bytes, told, retry)| {
        let script = vec![Head, Send(bytes), Fin];
        case(format!("early: {label}"), script, told, retry)
    });
    let interim = Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec());
    let none = [
        ("an end", vec![Head, Fin]),
        ("a reset", vec![Head, Reset]),
        (
            "an interim response and a reset",
            vec![Head, interim, Read(100_000), Reset],
        ),
    ]
    .map(|(label, script)| case(format!("early: {label}"), script, INVALID, Unknown));
    responses.chain(none).collect()
}

/// What never ends within the route's timeout: an upload that is not read, and others.
pub(super) fn delays(given_up: &Arc<Barrier>) -> (Case, Vec<Case>) {
    let whole = answer("200 OK", PASS);
    let stays = |length: usize| vec![Request, Send(whole[..length].to_vec())];
    let interim = b"HTTP/1.1 102 Processing\r\n\r\n".to_vec();
    let unending = format!("HTTP/1.1 200 OK\r\n\r\n{PASS}").into_bytes();
    let unread = vec![Meet(Arc::clone(given_up))];
    let unread = case("nothing is read", unread, TIMEOUT, Unknown);
    let others = [
        ("half a request is read", vec![Head, Read(1000)]),
        ("no response", vec![Request]),
        ("half a status", stays(10)),
        ("half a head", stays(40)),
        ("half a body", stays(whole.len() - 3)),
        ("a dripping head", vec![Request, Drip(whole.clone())]),
        (
            "a dripping body",
            vec![
                Request,
                Send(whole[..60].to_vec()),
                Drip(whole[60..].to_vec()),
            ],
        ),
        ("an interim response alone", vec![Request, Send(interim)]),
        (
            "a body whose end is a close that never comes",
            vec![Request, Send(unending)],
        ),
    ]
    .map(|(label, script)| case(label, script, TIMEOUT, Unknown));
    (unread, others.into())
}
