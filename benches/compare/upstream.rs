//! One connection of the upstream that plays Qiniu while proxies are measured.
//!
//! Discards each request and sends a prepared response, as cheaply as possible. Relies on the event
//! loop of `rig`. Never checks a signature: the strict emulator did that before the measurement.

use std::io::{self, IoSlice};

use data_encoding::BASE64;

use crate::{
    stream::{ReadOutcome, Stream},
    wire::{self, Framing},
};

/// The number of pictures in a response to `verify`, and the bytes of each: about 900 KB of base64.
const PICTURES: usize = 9;
const PICTURE: usize = 75_000;

/// The responses, prepared in advance.
pub(crate) struct PreparedResponses {
    verify: Vec<u8>,
    issued: u64,
    /// Length of the last request body, in bytes.
    pub(crate) last_body_bytes: usize,
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
                "{{\"pic\":\"{picture}\",\"face_token\":\"a8f3b1c2d4e5f60718293a4b5c6d7e8f\",\
                 \"face_id\":\"1\",\"liveness_score\":0.9600000000000001,\"spoofing\":0.00041,\
                 \"location\":{{\"left\":120.5,\"top\":88,\"width\":210,\
                 \"height\":214,\"rotation\":-2}}}}"
            )
        };
        let best = image(picture());
        let list: Vec<String> = (1..PICTURES).map(|_| image(picture())).collect();
        let body = format!(
            "{{\"error_code\":0,\"error_msg\":\"SUCCESS\",\"log_id\":4202693857,\
             \"serverlogid\":4202693857,\"cached\":0,\"timestamp\":1768816000,\
             \"result\":{{\"score\":0.9713,\"action_verify\":\"pass\",\
             \"thresholds\":{{\"frr_1e-4\":0.05,\"frr_1e-3\":0.3,\"frr_1e-2\":0.9}},\
             \"best_image\":{best},\"pic_list\":[{}]}}}}",
            list.join(",")
        );
        Self {
            verify: whole(&body),
            issued: 0,
            last_body_bytes: 0,
        }
    }

    /// A response with a new session id, because a gateway may distinguish sessions.
    fn session(&mut self) -> Vec<u8> {
        self.issued += 1;
        whole(&format!(
            "{{\"error_code\":0,\"error_msg\":\"SUCCESS\",\"log_id\":4202693857,\
             \"serverlogid\":4202693857,\"cached\":0,\"timestamp\":1768816000,\
             \"result\":{{\"session_id\":\"S{:023x}\",\"code\":\"0\"}}}}",
            self.issued
        ))
    }

    /// Length of the response to `verify`, in bytes, without its head.
    pub(crate) fn verify_bytes(&self) -> usize {
        let head = wire::head(&self.verify).map_or(0, |head| head.length);
        self.verify.len() - head
    }
}

fn whole(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
         X-Reqid: 8ysAAABtZpdsXdgX\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

enum PendingResponse {
    Nothing,
    Session(Vec<u8>),
    Verify,
}

/// The progress of a request whose head is complete.
struct IncomingRequest {
    verify: bool,
    /// Length of the body, in bytes.
    length: usize,
    left: usize,
}

pub(crate) struct UpstreamConnection {
    stream: Stream,
    /// The received part of an incomplete head.
    head: Vec<u8>,
    request: Option<IncomingRequest>,
    pending: PendingResponse,
    written: usize,
}

impl UpstreamConnection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            head: Vec::new(),
            request: None,
            pending: PendingResponse::Nothing,
            written: 0,
        }
    }

    /// Handles a readable socket; `false` once the peer has closed it.
    pub(crate) fn readable(
        &mut self,
        scratch: &mut [u8],
        responses: &mut PreparedResponses,
    ) -> io::Result<bool> {
        loop {
            let Self {
                stream,
                head,
                request,
                ..
            } = self;
            let after = stream.read(scratch, |bytes| take(bytes, head, request))?;
            if let Some(request) = request.take_if(|request| request.left == 0) {
                responses.last_body_bytes = request.length;
                self.written = 0;
                self.pending = if request.verify {
                    PendingResponse::Verify
                } else {
                    PendingResponse::Session(responses.session())
                };
                self.writable(responses)?;
            }
            match after {
                ReadOutcome::More => {}
                ReadOutcome::WouldBlock => return Ok(true),
                ReadOutcome::End => return Ok(false),
            }
        }
    }

    pub(crate) fn writable(&mut self, responses: &PreparedResponses) -> io::Result<()> {
        let bytes = match &self.pending {
            PendingResponse::Nothing => return Ok(()),
            PendingResponse::Session(bytes) => bytes,
            PendingResponse::Verify => &responses.verify,
        };
        while self.written < bytes.len() {
            match self.stream.write(&[IoSlice::new(&bytes[self.written..])]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.pending = PendingResponse::Nothing;
        Ok(())
    }
}

fn take(bytes: &[u8], head: &mut Vec<u8>, request: &mut Option<IncomingRequest>) {
    if let Some(request) = request {
        request.left = request.left.saturating_sub(bytes.len());
    } else if head.is_empty() {
        *request = IncomingRequest::of(bytes);
        if request.is_none() {
            head.extend_from_slice(bytes);
        }
    } else {
        head.extend_from_slice(bytes);
        *request = IncomingRequest::of(head);
        if request.is_some() {
            head.clear();
        }
    }
}

impl IncomingRequest {
    fn of(bytes: &[u8]) -> Option<Self> {
        let head = wire::head(bytes)?;
        let Framing::Length(length) = head.framing else {
            // A signing proxy never sends chunks. Without a response, the run reports a stall.
            return None;
        };
        Some(Self {
            verify: memchr::memmem::find(head.line, b"/verify").is_some(),
            length,
            left: (head.length + length).saturating_sub(bytes.len()),
        })
    }
}
