//! The same video, members and nonce are the same upload in every form of body.

use super::{PASS, form};
use crate::support::{
    Answer, Gateway, VERIFY, bearer,
    refusal::told,
    routes,
    sealed::{self, fresh},
    upstream::{self, Does},
    verify_body, video,
};

const NONCE: &str = "a.nonce~of_one-transaction";

/// A form of body.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Json,
    Raw,
    SessionFirst,
    VideoFirst,
    /// The nonce is a header field, and there are parts that do not count.
    HeaderNonce,
}

const SHAPES: [Shape; 5] = [
    Shape::Json,
    Shape::Raw,
    Shape::SessionFirst,
    Shape::VideoFirst,
    Shape::HeaderNonce,
];

/// An upload of a session.
#[derive(Clone, Copy)]
struct Upload<'a> {
    session: &'a str,
    video: &'a [u8],
    face_field: &'a str,
    nonce: &'a str,
}

impl Upload<'_> {
    async fn send(&self, gateway: &Gateway, http2: bool, shape: Shape) -> Answer {
        let Self {
            session,
            video,
            face_field,
            nonce,
        } = *self;
        let parts = [
            ("session_id", session.as_bytes()),
            ("video", video),
            ("face_field", face_field.as_bytes()),
            ("nonce", nonce.as_bytes()),
            ("dropped", b"dropped"),
        ];
        let request = gateway
            .request(http2, "POST", VERIFY)
            .header("authorization", bearer("user-1"));
        let form_of =
            |order: &[usize]| form::form(&order.iter().map(|at| parts[*at]).collect::<Vec<_>>());
        let (request, body) = match shape {
            Shape::Json => {
                let more = format!(",\"face_field\":\"{face_field}\",\"nonce\":\"{nonce}\"}}");
                let body = verify_body(session, video).replace('}', &more);
                (
                    request.header("content-type", "application/json"),
                    body.into(),
                )
            }
            Shape::Raw => {
                let request = request
                    .header("content-type", "video/mp4")
                    .header("liveness-session", session)
                    .header("liveness-face-field", face_field)
                    .header("liveness-nonce", nonce);
                (request, video.to_vec())
            }
            Shape::SessionFirst => (
                request.header("content-type", form::MEDIA),
                form_of(&[0, 1, 2, 3]),
            ),
            Shape::VideoFirst => (
                request.header("content-type", form::MEDIA),
                form_of(&[3, 1, 2, 0]),
            ),
            Shape::HeaderNonce => (
                request
                    .header("content-type", form::MEDIA)
                    .header("liveness-nonce", nonce),
                form_of(&[4, 2, 0, 1]),
            ),
        };
        gateway.send(http2, request, body).await
    }
}

#[tokio::test]
async fn every_form_of_body_is_a_retry_of_every_other() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let more = format!("{}{}", sealed::SETTINGS, routes());
    let gateway = Gateway::start(qiniu.address, "", &more).await;
    let video = video(0);
    for (calls, first) in SHAPES.into_iter().enumerate() {
        let session = fresh(qiniu.address, &format!("{first:?}"));
        let upload = Upload {
            session: &session,
            video: &video,
            face_field: "quality",
            nonce: NONCE,
        };
        for shape in [first].into_iter().chain(SHAPES) {
            let answer = upload.send(&gateway, calls % 2 == 0, shape).await;
            assert_eq!(answer.status, 200, "{shape:?} after {first:?}: {answer:?}");
            assert_eq!(qiniu.requests(), calls + 1, "{shape:?} after {first:?}");
        }
        // Nothing of it may differ.
        let shorter = &video[..video.len() - 1];
        for other in [
            Upload {
                video: shorter,
                ..upload
            },
            Upload {
                face_field: "spoofing",
                ..upload
            },
            Upload {
                nonce: "another.nonce~of_one",
                ..upload
            },
        ] {
            // The shape that began, and the next one.
            for shape in [first, SHAPES[(calls + 1) % SHAPES.len()]] {
                let answer = other.send(&gateway, true, shape).await;
                told(&answer, 409, "session_used");
            }
        }
    }
    assert_eq!(qiniu.requests(), SHAPES.len());
}
