//! Uploads in HTTP/1.1 chunks of a few bytes: only a gateway's own copies have longer parts of
//! them.

use std::{net::SocketAddr, time::Duration};

use data_encoding::{BASE64, BASE64URL_NOPAD};

use super::{
    sent::{Sent, SentAs, random},
    served::Served,
};
use crate::support::{VERIFY, form, raw, sealed, verify_body};

/// Length of a chunk, in bytes.
const CHUNK: usize = 12;

/// An upload that is sent in chunks.
pub(super) struct Chunked {
    media: &'static str,
    id: String,
    pub(super) body: String,
}

impl Chunked {
    /// `sent` gets what must not stay.
    pub(super) fn new(qiniu: SocketAddr, size: usize, sent_as: SentAs, sent: &Sent) -> Self {
        let qiniu_id = BASE64URL_NOPAD.encode(&random(24));
        sent.note("chunks: Qiniu's session id", qiniu_id.as_str());
        let id = sealed::sealed(sealed::KEY, qiniu, "user", &qiniu_id, Duration::ZERO);
        sent.sealed("chunks", &id);
        let (media, body) = match sent_as {
            SentAs::Form => (form::MEDIA, form_in_chunks(&id, size, sent)),
            _ => {
                let video = sent.video("chunks", size, sent_as);
                ("application/json", verify_body(&id, &video))
            }
        };
        Self { media, id, body }
    }

    /// The body with a forged id, and with one that can't be decoded at its end.
    pub(super) fn forged(&self) -> [String; 2] {
        let id = &self.id;
        [id.replace("lg1.", "lg1.A"), format!("{id}....")].map(|it| self.body.replace(id, &it))
    }

    /// The body with a wrong end.
    pub(super) fn broken(&self) -> String {
        match self.media {
            form::MEDIA => self.body.replace("form--", "form"),
            _ => format!("{}x", self.body),
        }
    }

    /// Sends these bodies, and expects these statuses.
    pub(super) async fn send(&self, gateway: &Served, uploads: &[(&str, String, u16)]) {
        for (user, body, status) in uploads {
            let fields = "Transfer-Encoding: chunked\r\nConnection: close";
            let head = raw::head(user, VERIFY, fields).replace("application/json", self.media);
            let chunks = body.as_bytes().chunks(CHUNK).map(|it| {
                let text = str::from_utf8(it).unwrap();
                format!("{:x}\r\n{text}\r\n", it.len())
            });
            let chunks = chunks.collect::<String>();
            let answer = raw::ask(gateway.address, &format!("{head}{chunks}0\r\n\r\n")).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
        }
    }
}

/// A form whose texts and video are ASCII.
fn form_in_chunks(id: &str, size: usize, sent: &Sent) -> String {
    let (name, face_field) = (BASE64.encode(&random(24)), BASE64.encode(&random(24)));
    let video = BASE64.encode(&random(size));
    sent.note("chunks: a file's name", name.as_str());
    sent.note("chunks: a text of a form", face_field.as_str());
    sent.note(
        "chunks: the video of a form",
        BASE64.encode(video.as_bytes()),
    );
    let parts = [
        ("face_field", face_field.as_bytes()),
        ("session_id", id.as_bytes()),
        ("video", video.as_bytes()),
    ];
    let form = String::from_utf8(form::form(&parts)).unwrap();
    form.replace("=\"video\"", &format!("=\"video\"; filename=\"{name}\""))
}
