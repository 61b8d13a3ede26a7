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
        let whole = answer("200 OK", PASS);
        let body = whole.len() - PASS.len();
        // In the version, the status, its reason, a name, a value, before the empty line and after
        // it, in the body, and before its last byte.
        for length in [
            1,
            8,
            9,
            11,
            12,
            14,
            17,
            22,
            40,
            body - 2,
            body,
            body + 1,
            whole.len() - 1,
        ] {
            let script = vec![Request, Send(whole[..length].to_vec())];
            add(&format!("after {length} bytes of the response"), script);
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n";
        for length in [chunked.len() - 3, chunked.len() - 1, chunked.len()] {
            let script = vec![Request, Send(chunked.as_bytes()[..length].to_vec())];
            add(&format!("after {length} bytes of chunks"), script);
        }
    }
    let unending = format!("HTTP/1.1 200 OK\r\n\r\n{PASS}");
    let reset = vec![Request, Send(unending.into()), Reset];
    cases.push(case(
        "reset where a close would be the end",
        reset,
        INVALID,
        Unknown,
    ));
    let whole = vec![Request, Send(answer("200 OK", PASS)), Reset];
    cases.push(case(
        "reset after the whole response",
        whole,
        (200, ""),
        Replayed,
    ));
    let endless = |begin: &str, more: &str| vec![Request, Send(begin.into()), Endless(more.into())];
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (label, script) in [
        (
            "endless fields",
            endless("HTTP/1.1 200 OK\r\n", "X-More: x\r\n"),
        ),
        ("an endless field", endless("HTTP/1.1 200 OK\r\nX: ", "x")),
        ("an endless status", endless("HTTP/1.1 200 ", "x")),
        (
            "endless interim responses",
            endless("", "HTTP/1.1 102 Processing\r\n\r\n"),
        ),
        ("an endless size of a chunk", endless(chunks, "0")),
        (
            "an endless extension of a chunk",
            endless(&format!("{chunks}2;"), "x"),
        ),
        (
            "endless trailers",
            endless(&format!("{chunks}2\r\n{{}}\r\n0\r\n"), "X: x\r\n"),
        ),
    ] {
        cases.push(case(label, script, INVALID, Unknown));
    }
    cases
}

/// Responses to an upload of which most has not arrived.
pub(super) fn early_responses() -> Vec<Case> {
    let early = |bytes: Vec<u8>| vec![Head, Send(bytes), Fin];
    let failed = r#"{"error_code":216502,"error_msg":"session lapse"}"#;
    let half = answer("200 OK", PASS)[..60].to_vec();
    [
        (
            "413",
            early(answer("413 X", "{}")),
            (413, "body_too_large"),
            Passes,
        ),
        (
            "400",
            early(answer("400 X", "{}")),
            (502, "upstream_rejected_request"),
            Passes,
        ),
        (
            "401",
            early(answer("401 X", "")),
            (502, "upstream_rejected_credentials"),
            Passes,
        ),
        (
            "429",
            early(answer("429 X", "")),
            (503, "upstream_busy"),
            Passes,
        ),
        (
            "503",
            early(answer("503 X", "<html>")),
            (503, "upstream_busy"),
            Passes,
        ),
        (
            "500",
            early(answer("500 X", "")),
            (502, "upstream_error"),
            Unknown,
        ),
        (
            "302",
            early(answer("302 X", "")),
            (502, "upstream_error"),
            Unknown,
        ),
        ("a pass", early(answer("200 OK", PASS)), INVALID, Unknown),
        (
            "an error of Qiniu's",
            early(answer("200 OK", failed)),
            (200, ""),
            Replayed,
        ),
        ("half a pass", early(half), INVALID, Unknown),
        (
            "nonsense",
            early(b"\0\x01\x02\r\n\r\n".to_vec()),
            INVALID,
            Unknown,
        ),
        ("an end", vec![Head, Fin], INVALID, Unknown),
        ("a reset", vec![Head, Reset], INVALID, Unknown),
        (
            "an interim response, then a reset",
            vec![
                Head,
                Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
                Read(100_000),
                Reset,
            ],
            INVALID,
            Unknown,
        ),
    ]
    .map(|(label, script, means, retry)| case(format!("early: {label}"), script, means, retry))
    .into()
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
