//! The upstream of the comparison: one connection of it, driven by the rig's loop.
//!
//! Swallows a request and answers with what was prepared. As cheap as can be, so that it is never what is measured; it
//! checks no signature, that was done before anything is measured.

use std::io::{self, IoSlice};

use data_encoding::BASE64;

use crate::{
    stream::{ReadOutcome, Stream},
    wire::{self, Framing},
};

/// Pictures of a verify's answer, and the base64 of each: with them it is some 900 KB.
const PICTURES: usize = 9;
const PICTURE: usize = 75_000;

/// What is answered.
pub(crate) struct PreparedResponses {
    verify: Vec<u8>,
    issued: u64,
    /// Bytes of the last request's body.
    pub(crate) last_asked: usize,
}

impl PreparedResponses {
    pub(crate) fn prepare() -> Self {
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let mut picture = || {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()
            })
            .flatten()
            .take(PICTURE)
            .collect();
            BASE64.encode(&bytes)
        };
        let image = |picture: String| {
            format!(
                "{{\"pic\":\"{picture}\",\"face_token\":\"a8f3b1c2d4e5f60718293a4b5c6d7e8f\",\"face_id\":\"1\",\"liveness_score\":0.9600000000000001,\"spoofing\":0.00041,\"location\":{{\"left\":120.5,\"top\":88,\"width\":210,\"height\":214,\"rotation\":-2}}}}"
            )
        };
        let best = image(picture());
        let list: Vec<String> = (1..PICTURES).map(|_| image(picture())).collect();
        let body = format!(
            "{{\"error_code\":0,\"error_msg\":\"SUCCESS\",\"log_id\":4202693857,\"serverlogid\":4202693857,\"cached\":0,\"timestamp\":1768816000,\"result\":{{\"score\":0.9713,\"action_verify\":\"pass\",\"thresholds\":{{\"frr_1e-4\":0.05,\"frr_1e-3\":0.3,\"frr_1e-2\":0.9}},\"best_image\":{best},\"pic_list\":[{}]}}}}",
            list.join(",")
        );
        Self {
            verify: whole(&body),
            issued: 0,
            last_asked: 0,
        }
    }

    /// A new session id each time, since a gateway may tell one session from another.
    fn session(&mut self) -> Vec<u8> {
        self.issued += 1;
        whole(&format!(
            "{{\"error_code\":0,\"error_msg\":\"SUCCESS\",\"log_id\":4202693857,\"serverlogid\":4202693857,\"cached\":0,\"timestamp\":1768816000,\"result\":{{\"session_id\":\"S{:023x}\",\"code\":\"0\"}}}}",
            self.issued
        ))
    }

    /// Bytes of a verify's answer, without its head.
    pub(crate) fn verify_bytes(&self) -> usize {
        let head = wire::head(&self.verify).map_or(0, |head| head.length);
        self.verify.len() - head
    }
}

fn whole(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Reqid: 8ysAAABtZpdsXdgX\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

enum Sending {
    Nothing,
    Session(Vec<u8>),
    Verify,
}

/// A request whose head is known.
struct RequestProgress {
    verify: bool,
    /// Of the body.
    length: usize,
    left: usize,
}

pub(crate) struct UpstreamConnection {
    stream: Stream,
    /// Of a head that has not come as a whole.
    head: Vec<u8>,
    asked: Option<RequestProgress>,
    saying: Sending,
    said: usize,
}

impl UpstreamConnection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            head: Vec::new(),
            asked: None,
            saying: Sending::Nothing,
            said: 0,
        }
    }

    /// Whether the connection lives on.
    pub(crate) fn readable(
        &mut self,
        scratch: &mut [u8],
        answers: &mut PreparedResponses,
    ) -> io::Result<bool> {
        loop {
            let Self {
                stream,
                head,
                asked,
                ..
            } = self;
            let after = stream.read(scratch, |bytes| take(bytes, head, asked))?;
            if let Some(asked) = asked.take_if(|asked| asked.left == 0) {
                answers.last_asked = asked.length;
                self.said = 0;
                self.saying = if asked.verify {
                    Sending::Verify
                } else {
                    Sending::Session(answers.session())
                };
                self.writable(answers)?;
            }
            match after {
                ReadOutcome::More => {}
                ReadOutcome::WouldBlock => return Ok(true),
                ReadOutcome::End => return Ok(false),
            }
        }
    }

    pub(crate) fn writable(&mut self, answers: &PreparedResponses) -> io::Result<()> {
        let bytes = match &self.saying {
            Sending::Nothing => return Ok(()),
            Sending::Session(bytes) => bytes,
            Sending::Verify => &answers.verify,
        };
        while self.said < bytes.len() {
            match self.stream.write(&[IoSlice::new(&bytes[self.said..])]) {
                Ok(written) => self.said += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.saying = Sending::Nothing;
        Ok(())
    }
}

fn take(bytes: &[u8], head: &mut Vec<u8>, asked: &mut Option<RequestProgress>) {
    if let Some(asked) = asked {
        asked.left = asked.left.saturating_sub(bytes.len());
    } else if head.is_empty() {
        *asked = RequestProgress::of(bytes);
        if asked.is_none() {
            head.extend_from_slice(bytes);
        }
    } else {
        head.extend_from_slice(bytes);
        *asked = RequestProgress::of(head);
        if asked.is_some() {
            head.clear();
        }
    }
}

impl RequestProgress {
    fn of(bytes: &[u8]) -> Option<Self> {
        let head = wire::head(bytes)?;
        let Framing::Length(length) = head.framing else {
            // Nobody who signs sends chunks; left unanswered, the run reports a stall.
            return None;
        };
        Some(Self {
            verify: memchr::memmem::find(head.line, b"/verify").is_some(),
            length,
            left: (head.length + length).saturating_sub(bytes.len()),
        })
    }
}
