//! The requests of the generator: tokens made in advance, the two calls of the API.
//! Relies on the gateway's own `token` command. Sends nothing.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use data_encoding::BASE64;
use liveness_gateway::generate::{TokenClaims, development_token};

use crate::load::LoadRequest;

pub(crate) const SESSIONCODE: &str = "/v2/actionliveness/sessioncode";
pub(crate) const VERIFY: &str = "/v2/actionliveness/verify";
pub(crate) const ISSUER: &str = "https://login.example.com/";
pub(crate) const AUDIENCE: &str = "liveness";
pub(crate) const SECRET: &str = "the-secret-of-the-comparison-is-long-enough";

/// The number of users, high enough that none reaches a limit.
pub(crate) const USERS: usize = 2000;
pub(crate) const SMALL: &str = "{\"min_code_length\": 1, \"max_code_length\": 3}";

/// What separates the parts of a form.
const FORM: &str = "--WebKitFormBoundary7MA4YWxkTrZu0gW";
const FORM_END: &[u8] = b"\r\n--WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n";

pub(crate) struct Requests {
    tokens: Vec<String>,
}

impl Requests {
    pub(crate) fn prepare() -> Result<Self, String> {
        let tokens = (0..USERS).map(|user| token(&format!("user-{user}")));
        let tokens = tokens.collect::<Result<_, _>>()?;
        Ok(Self { tokens })
    }

    /// A `sessioncode` request; the users take turns.
    pub(crate) fn session(&self, number: usize) -> LoadRequest {
        session(&self.authorization(number), SMALL)
    }

    /// A `verify` request. `session` was issued to the user with the same `number`.
    pub(crate) fn verify(&self, number: usize, session: &str, video: &Bytes) -> LoadRequest {
        verify(&self.authorization(number), session, video)
    }

    /// A `verify` request whose body is the video itself.
    pub(crate) fn raw(&self, number: usize, session: &str, video: &Bytes) -> LoadRequest {
        let head = format!(
            "POST {VERIFY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n\
             Liveness-Session: {session}\r\n{}Content-Length: {}\r\n\r\n",
            self.authorization(number),
            video.len()
        );
        LoadRequest {
            front: head.into_bytes(),
            video: video.clone(),
            ..LoadRequest::default()
        }
    }

    /// A `verify` request whose body is a form, as browsers write it.
    pub(crate) fn multipart(&self, number: usize, session: &str, video: &Bytes) -> LoadRequest {
        let front = format!(
            "{FORM}\r\nContent-Disposition: form-data; name=\"session_id\"\r\n\r\n{session}\r\n\
             {FORM}\r\nContent-Disposition: form-data; name=\"video\"; filename=\"blob\"\r\n\
             Content-Type: video/mp4\r\n\r\n"
        );
        let length = front.len() + video.len() + FORM_END.len();
        let front = format!(
            "POST {VERIFY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; \
             boundary={}\r\n{}Content-Length: {length}\r\n\r\n{front}",
            FORM.trim_start_matches("--"),
            self.authorization(number),
        );
        LoadRequest {
            front: front.into_bytes(),
            video: video.clone(),
            back: FORM_END,
            stop_at: None,
        }
    }

    pub(crate) fn authorization(&self, number: usize) -> String {
        let token = self.tokens.get(number % USERS);
        format!(
            "Authorization: Bearer {}\r\n",
            token.map_or("", String::as_str)
        )
    }
}

pub(crate) fn session(authorization: &str, body: &str) -> LoadRequest {
    let request = format!(
        "POST {SESSIONCODE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         {authorization}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    LoadRequest {
        front: request.into_bytes(),
        ..LoadRequest::default()
    }
}

fn verify(authorization: &str, session: &str, video: &Bytes) -> LoadRequest {
    let front = format!("{{\"session_id\":\"{session}\",\"video_base64\":\"");
    let back = b"\"}";
    let length = front.len() + video.len() + back.len();
    let front = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         {authorization}Content-Length: {length}\r\n\r\n{front}"
    );
    LoadRequest {
        front: front.into_bytes(),
        video: video.clone(),
        back,
        stop_at: None,
    }
}

/// A token that every proxy of the comparison accepts.
pub(crate) fn token(user: &str) -> Result<String, String> {
    let claims = TokenClaims {
        issuer: ISSUER,
        audience: AUDIENCE,
        subject: user,
        scope: None,
        now: SystemTime::now(),
        lifetime: Duration::from_secs(6 * 60 * 60),
    };
    development_token(SECRET.as_bytes(), &claims).map_err(|error| error.to_string())
}

pub(crate) fn base64(video: &[u8]) -> Bytes {
    BASE64.encode(video).into_bytes().into()
}
