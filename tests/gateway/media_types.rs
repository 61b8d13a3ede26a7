//! Media types: a body is taken however its type is written, and refused only for what speaks
//! against it.

use crate::support::{
    Answer, Gateway, SESSIONCODE, VERIFY, bearer,
    refusal::refused,
    upstream::{self, Does},
    verify_body,
};

const JSON: &[&str] = &[
    "application/json",
    "Application/Json;",
    "application/json;charset=utf-8",
    "application/json ; Charset=\"UTF-8\" ;",
    "application/json; utf-8",
    "application/json;odata.metadata=none;profile=\"a\\\";charset=gbk\"",
];

const VIDEO: &[&str] = &[
    "video/mp4",
    "video/mp4;",
    "VIDEO/MP4;codecs=\"avc1.42E01F\"",
    "video/mp4; codecs=\"avc1.42E01F, mp4a.40.2\"; charset=binary",
    "video/mp4;codecs=avc1.64003e,mp4a.40.2",
    "video/quicktime",
    "video/quicktime; x=y",
];

const REFUSED: &[&str] = &[
    "",
    "text/plain",
    "application/jsonp",
    "application/problem+json",
    "application/json; charset=gbk",
    "application/json; charset=utf-8; charset=latin1",
    "application/json, application/json",
    "application/json; a=b, text/plain",
    "application/json; a=\"b",
    "video/webm;codecs=avc1",
    "video/mp4, video/mp4",
    "video/mp4; codecs=\"avc1",
    "application/octet-stream",
];

async fn send(gateway: &Gateway, http2: bool, path: &str, types: &[&str], body: &str) -> Answer {
    let mut request = gateway
        .request(http2, "POST", path)
        .header("authorization", bearer("user-1"))
        .header("liveness-session", "S");
    for media_type in types {
        request = request.header("content-type", *media_type);
    }
    gateway.send(http2, request, body.to_owned()).await
}

#[tokio::test]
async fn a_body_is_taken_however_its_media_type_is_written() {
    let answer = upstream::answer("200 OK", "{\"error_code\":0}");
    let qiniu = upstream::start(Does::AnswerAndStay(answer)).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let video = "v".repeat(3);
    let wanted = verify_body("S", video.as_bytes());
    for http2 in [false, true] {
        for media_type in JSON {
            let answer = send(&gateway, http2, VERIFY, &[media_type], &wanted).await;
            assert_eq!(answer.status, 200, "{media_type} {answer:?}");
            assert_eq!(qiniu.last_body(), wanted.as_bytes(), "{media_type}");
        }
        for media_type in VIDEO {
            let answer = send(&gateway, http2, VERIFY, &[media_type], &video).await;
            assert_eq!(answer.status, 200, "{media_type} {answer:?}");
            assert_eq!(qiniu.last_body(), wanted.as_bytes(), "{media_type}");
        }
    }
    let accepted = 2 * (JSON.len() + VIDEO.len());
    assert_eq!(qiniu.requests(), accepted);
    for http2 in [false, true] {
        let twice = &["application/json", "application/json"][..];
        let others = REFUSED.iter().map(std::slice::from_ref);
        for types in others.chain([twice, &[]]) {
            for path in [SESSIONCODE, VERIFY] {
                let answer = send(&gateway, http2, path, types, &wanted).await;
                assert_eq!(answer.status, 415, "{types:?} {answer:?}");
                refused(&answer, 415, "unsupported_media_type");
            }
        }
        // Only a `verify` is a video.
        for media_type in VIDEO {
            let answer = send(&gateway, http2, SESSIONCODE, &[media_type], &video).await;
            assert_eq!(answer.status, 415, "{media_type} {answer:?}");
        }
    }
    assert_eq!(qiniu.requests(), accepted);
}
