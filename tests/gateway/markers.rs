//! Markers in everything that is secret or personal, and a search for them in everything that
//! leaves: the log at `trace`, errors, metrics and responses.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{
    Answer, Gateway, ISSUER, SECRET, SECRET_KEY, SESSIONCODE, VERIFY, bearer, emulator, events,
    form, own_process, routes, sealed, session, token_with,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;

#[cfg(target_os = "linux")]
mod chunked;
#[cfg(target_os = "linux")]
mod core_dumps;
#[cfg(target_os = "linux")]
mod image;
#[cfg(target_os = "linux")]
mod memory_image;
#[cfg(target_os = "linux")]
mod sent;
#[cfg(target_os = "linux")]
mod served;

const PICTURE: &str = "MARKERofApictureMARKER";
const SESSION: &str = "MARKERofAsessionMARKER";
const VIDEO: &str = "MARKERofAvideoMARKER";
const USER: &str = "MARKERofAuserMARKER";
const FACE_TOKEN: &str = "MARKERofAfaceTOKEN";
const FACE_FIELD: &str = "MARKERofAfaceFIELD";
/// Of a token that is refused.
const OTHER_ISSUER: &str = "https://MARKERofAnISSUER/";
const AUDIENCE: &str = "MARKERofAnAUDIENCE";
/// Of a peer that is not trusted.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const STATE: &str = "MARKERofAtracestate";
/// Too short for a nonce; twice is long enough.
const NONCE: &str = "MARKERofAnonce";

/// Everything that left the gateway.
struct Watch {
    left: Vec<(String, String)>,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Watch {
    /// Uploads as JSON, good and bad, with good and bad tokens.
    async fn json(&mut self, gateway: &Gateway, http2: bool, id: &str) {
        let body = format!(
            "{{\"session_id\":\"{id}\",\"nonce\":\"{NONCE}{NONCE}\",\"video_base64\":\"{VIDEO}AA\"}}"
        );
        let token = bearer(USER);
        for (path, body) in [
            (VERIFY, body.clone()),
            (VERIFY, body.replace("AA\"", "!\"")),
            (VERIFY, body.replacen(NONCE, "", 1)),
            (SESSIONCODE, body.clone()),
            (VERIFY, format!("{body}x")),
        ] {
            for authorization in [
                token.clone(),
                format!("{token}x"),
                token.replace("Bearer", "Basic"),
                token_of(OTHER_ISSUER, "liveness"),
                token_of(ISSUER, AUDIENCE),
            ] {
                let request = gateway
                    .request(http2, "POST", path)
                    .header("content-type", "application/json")
                    .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
                    .header("tracestate", format!("vendor={STATE}"))
                    .header("authorization", authorization);
                let answer = gateway.send(http2, request, body.clone()).await;
                self.answered("an answer", &answer);
            }
        }
    }

    /// Uploads of raw videos, good and bad.
    async fn raw(&mut self, gateway: &Gateway, http2: bool, id: &str) {
        for (session, content_type, nonces) in [
            (id.to_owned(), "video/mp4", 2),
            (id.to_owned(), "video/mp4", 1),
            (format!("{id}\""), "video/mp4", 2),
            (SESSION.to_owned(), "video/mp4", 2),
            (SESSION.repeat(60), "video/mp4", 2),
            (SESSION.to_owned(), "video/webm", 2),
        ] {
            let request = gateway
                .request(http2, "POST", VERIFY)
                .header("content-type", content_type)
                .header("authorization", bearer(USER))
                .header("liveness-session", session)
                .header("liveness-face-field", FACE_FIELD)
                .header("liveness-nonce", NONCE.repeat(nonces));
            let answer = gateway.send(http2, request, VIDEO).await;
            self.answered("an answer to a raw video", &answer);
        }
    }

    /// Uploads of forms, good and bad.
    async fn forms(&mut self, gateway: &Gateway, http2: bool, id: &str) {
        let nonce = NONCE.repeat(2);
        let good = [
            ("session_id", id),
            ("face_field", FACE_FIELD),
            ("nonce", &nonce),
            ("video", VIDEO),
        ];
        for (place, changed) in [
            (0, ("session_id", id)),
            (0, ("session_id", SESSION)),
            (1, (FACE_FIELD, FACE_FIELD)),
            (1, ("video", VIDEO)),
            (2, ("nonce", NONCE)),
            (3, (VIDEO, VIDEO)),
        ] {
            let mut parts = good.map(|(name, content)| (name, content.as_bytes()));
            parts[place] = (changed.0, changed.1.as_bytes());
            let whole = form::form(&parts);
            for body in [whole.clone(), whole[..whole.len() - 5].to_vec()] {
                let request = gateway
                    .request(http2, "POST", VERIFY)
                    .header("content-type", form::MEDIA)
                    .header("authorization", bearer(USER));
                let answer = gateway.send(http2, request, body).await;
                self.answered("an answer to a form", &answer);
            }
        }
    }

    /// Keeps a response.
    fn answered(&mut self, what: &str, answer: &Answer) {
        let body = String::from_utf8_lossy(&answer.body);
        let text = format!("{:?} {body}", answer.headers);
        self.left.push((format!("{what} {}", answer.status), text));
    }

    fn look(&self, markers: &[&str]) {
        let log = String::from_utf8(self.log.lock().unwrap().clone()).unwrap();
        for marker in markers {
            assert!(!log.contains(marker), "{marker} is in the log: {log}");
            for (what, text) in &self.left {
                assert!(!text.contains(marker), "{marker} is in {what}: {text}");
            }
        }
    }
}

/// A token of [`USER`] with this issuer and audience.
fn token_of(issuer: &str, audience: &str) -> String {
    let token = token_with(SECRET, |claims| {
        (claims.issuer, claims.audience, claims.subject) = (issuer, audience, USER);
    });
    format!("Bearer {token}")
}

/// `id` of the Qiniu at `upstream`, sealed for [`USER`].
fn sealed_id(upstream: SocketAddr, id: &str) -> String {
    sealed::sealed(sealed::KEY, upstream, USER, id, Duration::ZERO)
}

/// Misbehaving upstreams, and good ones, all of which send pictures.
fn upstreams() -> [Does; 6] {
    let picture = format!(
        "{{\"error_code\":0,\"result\":{{\"best_image\":{{\"pic\":\"{PICTURE}\"}},\"pic_list\":[{{\"p\\u0069c\":\"{PICTURE}\",\"face_token\":\"{FACE_TOKEN}\"}}],\"new\":[\"{PICTURE}{}\"]}}}}",
        "x".repeat(4096)
    );
    let broken = picture.replace("\"error_code\":0", "\"error_code\":0,\"error_code\":0");
    [
        Does::Answer(answer("200 OK", &picture)),
        Does::Answer(answer("200 OK", &broken)),
        Does::Answer(answer("401 X", &picture)),
        Does::Answer(answer("200 OK", picture.get(..picture.len() - 5).unwrap())),
        Does::Answer(format!("HTTP/1.1 200 OK\r\n{PICTURE}\r\n\r\n").into()),
        Does::Close,
    ]
}

/// What must never leave, besides the token and the video in base64.
const SECRETS: [&str; 15] = [
    PICTURE,
    SESSION,
    VIDEO,
    SECRET,
    SECRET_KEY,
    FACE_TOKEN,
    USER,
    "lg1.",
    FACE_FIELD,
    NONCE,
    OTHER_ISSUER,
    AUDIENCE,
    TRACE,
    STATE,
    "AccessKeyOfTheTests:",
];

/// What the log has, if it was really captured.
const LOGGED: [&str; 5] = [
    "the log is captured",
    "a video does not meet Qiniu's requirements",
    "Qiniu rejected our credentials",
    "issuer is not accepted",
    "for another audience",
];

#[tokio::test]
async fn no_marker_leaves_the_gateway() {
    // The log at `trace` is that of a whole process.
    if !own_process::is_here("markers::no_marker_leaves_the_gateway") {
        return;
    }
    let log = events::capture(tracing::Level::TRACE);
    tracing::trace!(target: "liveness_gateway::markers", "the log is captured");
    let mut watch = Watch {
        left: Vec::new(),
        log,
    };
    let token = bearer(USER);
    for does in upstreams() {
        let upstream = upstream::start(does).await;
        let bound = sealed::SETTINGS.to_owned() + &routes();
        let gateway = Gateway::start(upstream.address, "", &bound).await;
        for http2 in [false, true] {
            let id = sealed_id(upstream.address, &format!("{SESSION}{http2}"));
            watch.json(&gateway, http2, &id).await;
            let id = sealed_id(upstream.address, &format!("{SESSION}raw{http2}"));
            watch.raw(&gateway, http2, &id).await;
            let id = sealed_id(upstream.address, &format!("{SESSION}form{http2}"));
            watch.forms(&gateway, http2, &id).await;
        }
        let metrics = gateway.metrics().await;
        watch.left.push(("the metrics".into(), metrics));
        watch.left.push(("the records".into(), gateway.log()));
    }
    let raw = token.strip_prefix("Bearer ").unwrap();
    let signature = raw.rsplit('.').next().unwrap();
    let encoded = data_encoding::BASE64.encode(VIDEO.as_bytes());
    watch.look(
        &[
            &SECRETS[..],
            &[raw, signature, encoded.trim_end_matches('=')],
        ]
        .concat(),
    );
    let log = String::from_utf8(watch.log.lock().unwrap().clone()).unwrap();
    for line in LOGGED {
        assert!(
            log.contains(line),
            "{line} is not in the log that was looked at: {log}"
        );
    }
}

#[tokio::test]
async fn the_access_record_of_a_pass_has_no_session_id() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let id = session(&gateway).await;
    gateway
        .post(false, VERIFY, verify_body(&id, &video(0)))
        .await;
    gateway.record(VERIFY).await;
    assert!(!gateway.log().contains(&id) && !gateway.metrics().await.contains(&id));
}
