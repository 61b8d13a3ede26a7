//! A Qiniu that misbehaves does the same harm behind a proxy as without one: none but to its call.

use super::{QINIU, World, until_all_is_freed};
use crate::support::{
    Gateway, VERIFY,
    upstream::{self, Does, answer},
    verify_body, video,
};

fn cases() -> Vec<(&'static str, Does, u16, &'static str)> {
    let invalid = "upstream_invalid_response";
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"error_code\":0".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [&b"1000\r\n"[..], &[b' '; 4096], b"\r\n"].concat();
    vec![
        ("no response", Does::Close, 502, invalid),
        (
            "half a head",
            Does::Answer(b"HTTP/1.1 200 O".to_vec()),
            502,
            invalid,
        ),
        ("half a body", Does::Answer(half), 502, invalid),
        (
            "an endless body",
            Does::Endless(chunked, chunk),
            502,
            invalid,
        ),
        (
            "no HTTP",
            Does::Answer(b"SSH-2.0-x\r\n".to_vec()),
            502,
            invalid,
        ),
        ("silence", Does::Hang, 504, "upstream_timeout"),
        (
            "an early 413",
            Does::AnswerEarly(answer("413 X", "{}")),
            413,
            "body_too_large",
        ),
        (
            "503",
            Does::Answer(answer("503 X", "{}")),
            503,
            "upstream_busy",
        ),
        (
            "407",
            Does::Answer(answer("407 X", "{}")),
            502,
            "upstream_rejected_request",
        ),
    ]
}

#[tokio::test]
async fn a_misbehaving_qiniu_has_the_same_error_codes_behind_a_proxy() {
    for (label, does, status, code) in cases() {
        let upstream = upstream::start(does).await;
        let world = World::start(&[(QINIU, upstream.address)]).await;
        let mut settings = world.settings("");
        for route in &mut settings.routes {
            route.timeout = std::time::Duration::from_secs(1);
        }
        settings.sessions = None;
        let gateway = Gateway::run(settings).await;
        let body = verify_body("S", &video(64 << 10));
        let answer = gateway.post(false, VERIFY, body).await;
        let got = (answer.status.as_u16(), answer.code());
        assert_eq!(got, (status, code.to_owned()), "{label}");
        assert_eq!(upstream.requests(), 1, "{label}: sent once");
        until_all_is_freed(&gateway, &world.proxy).await;
    }
}
