//! Forms that are broken, lack a part or have one twice are refused, and the detail says why.

use super::{PASS, form, send};
use crate::support::{
    Answer, Gateway, SESSIONCODE, VERIFY, bearer,
    refusal::{refused, told},
    upstream::{self, Does},
};

/// A form with one part of this name and these fields, and a good session and video unless it is
/// one of them.
fn with(name: &str, fields: &str, content: &str) -> Vec<u8> {
    let mut text = format!(
        "------form\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{fields}\r\n{content}\r\n"
    );
    for (other, content) in [("session_id", "S"), ("video", "v")] {
        if other != name {
            text += &format!(
                "------form\r\nContent-Disposition: form-data; name=\"{other}\"\r\n\r\n{content}\r\n"
            );
        }
    }
    (text + "------form--\r\n").into_bytes()
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_form_that_is_broken_or_incomplete_says_so() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let good = || with("face_field", "", "quality");
    let text = || String::from_utf8(good()).unwrap();
    let long = "x".repeat(4097);
    let parts = |parts: &[(&str, &[u8])]| form::form(parts);
    let (session, video) = (("session_id", &b"S"[..]), ("video", &b"v"[..]));
    for (form, wanted) in [
        (Vec::new(), "before its last boundary"),
        (
            text().replace("form", "other").into(),
            "before its last boundary",
        ),
        (
            text().replace("form--", "form").into(),
            "before its last boundary",
        ),
        (text().replace('\r', "").into(), "CR LF"),
        (
            text().replace("form\r\n", "formed\r\n").into(),
            "followed by something else",
        ),
        (
            text().replace("name=\"video\"", "name=\"video").into(),
            "malformed header",
        ),
        (
            text()
                .replace("name=\"video\"", "filename=\"video\"")
                .into(),
            "no name",
        ),
        (
            text()
                .replace("form-data; name=\"video\"", "attachment")
                .into(),
            "no name",
        ),
        (
            with("x", &format!("X: {}\r\n", "x".repeat(8192)), ""),
            "8192 bytes",
        ),
        (parts(&[("x", &b""[..]); 101]), "100 parts"),
        (parts(&[]), "`session_id` is missing"),
        (parts(&[video]), "`session_id` is missing"),
        (parts(&[session]), "`video` is missing"),
        (parts(&[session, ("Video", b"v")]), "`video` is missing"),
        (
            parts(&[session, video, session]),
            "`session_id` is given twice",
        ),
        (parts(&[video, video, session]), "`video` is given twice"),
        (
            parts(&[session, ("face_field", b""), ("face_field", b""), video]),
            "`face_field` is given twice",
        ),
        (
            parts(&[session, ("nonce", b""), ("nonce", b""), video]),
            "`nonce` is given twice",
        ),
        (
            parts(&[("session_id", b""), video]),
            "`session_id` is empty",
        ),
        (with("session_id", "", &long), "`session_id` is too long"),
        (with("face_field", "", &long), "`face_field` is too long"),
        (with("nonce", "", "short"), "`nonce` must be 16 to 128"),
        (
            with("nonce", "", &"n".repeat(129)),
            "`nonce` must be 16 to 128",
        ),
        (
            parts(&[session, ("face_field", b"\xff"), video]),
            "`face_field` must be text in UTF-8",
        ),
        (
            with(
                "face_field",
                "Content-Type: text/plain; charset=gbk\r\n",
                "q",
            ),
            "must be text in UTF-8",
        ),
        (
            with(
                "face_field",
                "Content-Type: text/plain; charset=us-ascii\r\n",
                "é",
            ),
            "must be text in UTF-8",
        ),
        (
            with("video", "Content-Transfer-Encoding: base64\r\n", "dg=="),
            "`video` must be sent as it is",
        ),
        (
            with(
                "nonce",
                "Content-Transfer-Encoding: quoted-printable\r\n",
                "n",
            ),
            "`nonce` must be sent as it is",
        ),
    ] {
        for http2 in [false, true] {
            let answer = send(&gateway, http2, form::MEDIA, form.clone()).await;
            refused(&answer, 400, "malformed_request");
            assert!(detail(&answer).contains(wanted), "{wanted}: {answer:?}");
        }
    }
    let empty = send(&gateway, false, form::MEDIA, with("video", "", "")).await;
    told(&empty, 422, "video_rejected");
    assert_eq!(empty.json()["reason"], "empty");
    assert_eq!(qiniu.requests(), 0);
    assert_eq!(send(&gateway, false, form::MEDIA, good()).await.status, 200);
}

#[tokio::test]
async fn a_form_needs_a_boundary_and_a_verify_route() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    for media in [
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=\"a\\\"\"",
        "multipart/form-data; boundary=a; boundary=b",
        &long,
    ] {
        for http2 in [false, true] {
            let answer = send(&gateway, http2, media, form::upload("S", b"v")).await;
            refused(&answer, 400, "malformed_request");
            assert!(detail(&answer).contains("boundary"), "{media}: {answer:?}");
        }
    }
    for media in [
        "Multipart/Form-Data ; x=y;\tBOUNDARY=\"----form\"; z",
        "multipart/form-data;boundary=----form",
        "multipart/form-data; boundary=\"----\\form\"",
    ] {
        let answer = send(&gateway, false, media, form::upload("S", b"v")).await;
        assert_eq!(answer.status, 200, "{media}: {answer:?}");
    }
    let request = gateway
        .request(false, "POST", SESSIONCODE)
        .header("authorization", bearer("user-1"))
        .header("content-type", form::MEDIA);
    let answer = gateway.send(false, request, form::form(&[])).await;
    told(&answer, 415, "unsupported_media_type");
    let other = send(
        &gateway,
        false,
        "multipart/mixed; boundary=----form",
        form::form(&[]),
    )
    .await;
    told(&other, 415, "unsupported_media_type");
}

#[tokio::test]
async fn the_nonce_of_a_form_may_not_differ_from_its_header() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    for (header, status) in [("0123456789abcdef", 200), ("0123456789abcdee", 400)] {
        let request = gateway
            .request(false, "POST", VERIFY)
            .header("authorization", bearer("user-1"))
            .header("content-type", form::MEDIA)
            .header("liveness-nonce", header);
        let answer = gateway
            .send(false, request, with("nonce", "", "0123456789abcdef"))
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_eq!(
        qiniu.last_body(),
        br#"{"session_id":"S","video_base64":"dg=="}"#
    );
}
