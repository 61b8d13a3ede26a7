//! The journey of a request: admit, upload, forward, respond.
//!
//! [`Gateway::handle`] is the outer half. It gives each request an id, an access record and
//! a response, whatever happens. [`relay`] is the journey itself: each step takes the value
//! of the step before it, and may end the journey with a [`Refusal`]. Never reads a byte of
//! a body before [`admit`] has returned.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, Version,
    body::{Body, Incoming},
    http::request::Parts,
};

use super::{
    access_record::AccessRecord,
    admit::{Admission, Admitted, Rejection, RequestLimits, admit},
    forward::forward,
    forwarded,
    gateway::{Gateway, Peer},
    refusal::Refusal,
    request_spans::RecordedTrace,
    respond::{Reply, respond},
    site::visit,
    unread::unread_bytes,
    upload::{Upload, upload},
};

impl Gateway {
    /// Responds to a request. It never fails: an error is a response too.
    ///
    /// Not an `async fn`: the future would store the request twice, whole and in parts.
    pub fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Full<Bytes>>> {
        let (parts, mut body) = request.into_parts();
        let mut record = self.begin_record(&parts, &peer);
        async move {
            let http2 = parts.version == Version::HTTP_2;
            let empty = body.is_end_stream();
            let unread = unread_bytes(parts.version, &body);
            let admission = tokio::select! {
                biased;
                admission = admit(&self, &parts, &peer, empty, &mut record) => admission,
                () = self.unread.exhausted(unread) => {
                    Err(Refusal::UnreadUploads.into())
                }
                () = self.grace_period_over(http2) => Err(Refusal::ShuttingDown.into()),
            };
            let (result, limits) = match admission {
                Ok(Admission::Forward(admitted, limits)) => {
                    let result = tokio::select! {
                        biased;
                        result = relay(&self, admitted, &limits, &mut body, &mut record) => result,
                        () = self.grace_period_over(http2) => Err(Refusal::ShuttingDown),
                    };
                    (result, limits)
                }
                Ok(Admission::Preflight(method)) => {
                    (Ok(Reply::Preflight(method)), RequestLimits::default())
                }
                Ok(Admission::Site(site)) => {
                    // Boxed: the future of every other request would hold it.
                    let visited = Box::pin(visit(&site, &parts, &mut body, &mut record)).await;
                    (visited.map(Reply::Site), RequestLimits::default())
                }
                Ok(Admission::Page(page)) => (Ok(Reply::Page(page)), RequestLimits::default()),
                Err(Rejection { refusal, limits }) => (Err(refusal), limits),
            };
            respond(&self, result, &limits, parts, body, record)
        }
    }

    fn begin_record(&self, parts: &Parts, peer: &Peer) -> AccessRecord {
        let headers = Some(&parts.headers).filter(|_| peer.trusted);
        let request_id = headers.and_then(forwarded::request_id);
        let request_id = request_id.unwrap_or_else(|| self.request_ids.next());
        let telemetry = Arc::clone(&self.telemetry);
        let mut record = AccessRecord::begin(telemetry, peer.address, &parts.method, request_id);
        record.forwarded_for = headers.and_then(forwarded::forwarded_path);
        let (tracer, clocks) = (self.tracer.as_ref(), record.clocks());
        record.trace = RecordedTrace::begin(tracer, parts, peer.trusted, peer.tls, clocks);
        record
    }

    /// Resolves when a stop gives requests in flight no more time. An HTTP/1.1 connection
    /// polls its request at that moment, so a look at the flag is enough; a request over
    /// HTTP/2 has to be woken.
    async fn grace_period_over(&self, http2: bool) {
        if http2 {
            return self.readiness.grace_period_over().await;
        }
        poll_fn(|_| match self.readiness.is_grace_period_over() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// The journey of an admitted request.
#[expect(
    clippy::manual_async_fn,
    reason = "the future of an async fn would store its arguments twice"
)]
fn relay<'a>(
    gateway: &'a Arc<Gateway>,
    admitted: Admitted,
    limits: &'a RequestLimits,
    body: &'a mut Incoming,
    record: &'a mut AccessRecord,
) -> impl Future<Output = Result<Reply, Refusal>> {
    async move {
        let prepared = match upload(gateway, &admitted, body, record).await? {
            Upload::Prepared(prepared) => prepared,
            Upload::Replayed(cached, state) => {
                gateway.telemetry.metrics.count_replayed(state);
                record.replayed(&cached, state);
                return Ok(Reply::Replayed(cached.body.clone()));
            }
        };
        let quota = limits.quota.clone();
        let forwarded = forward(gateway, admitted, quota, prepared, record).await?;
        record.upstream = forwarded.facts;
        forwarded.body.map(Reply::Json)
    }
}
