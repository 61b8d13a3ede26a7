//! The journey of a request. [`Gateway::handle`] owns what every request gets: an id, a record, and an answer whatever
//! happens. [`Gateway::relay`] is the way itself, a line a step, each of which may end it with a refusal.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    body::{Body, Incoming},
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
    },
    http::request::Parts,
};
use ipnet::IpNet;

use super::{
    RouteKind,
    cors::Cors,
    endpoint::{Endpoint, Endpoints},
    headers,
    outcome::{facts, observe},
    problem,
    record::{Pseudonyms, Record},
    refusal::Refusal,
};
use crate::{
    auth::{Authenticator, Caller},
    body::receive::{Admission, Received, receive},
    limit::{CallerKey, CallerKeys, concurrency::Place, rate::Standing},
    qiniu::{answer::Answer, outgoing::Draft, pool::Upstream},
    telemetry::Observer,
};

/// After a refusal so much of an upload is still read, for so long, so that its sender gets to see the answer.
const DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The address of the TCP connection.
    pub address: SocketAddr,
    /// Over TLS.
    pub tls: bool,
}

/// All that the journey needs, made once at start.
pub struct Gateway {
    /// Where requests may go.
    pub endpoints: Endpoints,
    /// Who may call.
    pub authenticator: Authenticator,
    /// Names callers for counting.
    pub callers: CallerKeys,
    /// Names callers for records.
    pub pseudonyms: Pseudonyms,
    /// What browsers may do.
    pub cors: Cors,
    /// What bodies may take.
    pub admission: Admission,
    /// Qiniu.
    pub upstream: Arc<Upstream>,
    /// Shown to anybody who asks by `GET`.
    pub pages: HashMap<&'static str, Page>,
    /// Records and metrics.
    pub observer: Arc<Observer>,
    /// Whose word counts on where a request came from.
    pub trusted_proxies: Vec<IpNet>,
    /// Bytes of a head at the most.
    pub max_head_bytes: usize,
}

/// Something to look at that needs no token: the sandbox has some, a production gateway none.
pub struct Page {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The whole of it.
    pub body: Bytes,
}

/// What an answer is made of.
enum Reply {
    Preflight,
    Json(Vec<u8>),
    Page(&'static str, Bytes),
}

impl Gateway {
    /// Answers a request. Never fails: what goes wrong is an answer too.
    pub async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Response<Full<Bytes>> {
        let (parts, mut body) = request.into_parts();
        let forwarded =
            headers::forwarded(&parts.headers, peer.address.ip(), &self.trusted_proxies);
        let request_id = forwarded.request_id.unwrap_or_else(new_request_id);
        let mut record = Record::begin(
            Arc::clone(&self.observer),
            peer.address,
            &parts.method,
            request_id,
        );
        record.forwarded_for = forwarded.path;
        let mut standing = None;

        let outcome = self
            .relay(&parts, &mut body, &mut record, &mut standing)
            .await;

        let mut response = match outcome {
            Ok(reply) => self.accepted(&parts, reply, &mut record),
            Err(refusal) => {
                let mut response = self.refused(&refusal, &mut record);
                release(body, &parts, &mut response);
                response
            }
        };
        self.finish(&parts.headers, response.headers_mut(), &record, standing);
        response
    }

    /// The journey, top to bottom. Nothing of the body is read before the rate limit has passed.
    async fn relay(
        &self,
        parts: &Parts,
        body: &mut Incoming,
        record: &mut Record,
        standing: &mut Option<Standing>,
    ) -> Result<Reply, Refusal> {
        if let Some(page) = self
            .pages
            .get(parts.uri.path())
            .filter(|_| parts.method == Method::GET)
        {
            return Ok(Reply::Page(page.content_type, page.body.clone()));
        }
        let endpoint = self
            .endpoints
            .find(parts.uri.path())
            .ok_or(Refusal::UnknownRoute)?;
        record.route = Some(Arc::clone(&endpoint.path));
        headers::check_head(parts, self.max_head_bytes)?;
        if parts.method == Method::OPTIONS {
            return Ok(Reply::Preflight);
        }
        if parts.method != Method::POST {
            return Err(Refusal::Method);
        }
        let caller = self.authenticate(&parts.headers, endpoint, record)?;
        let caller = self.callers.of(&caller);
        self.charge(endpoint, caller, standing)?;
        headers::check_media_type(&parts.headers, body.is_end_stream())?;
        let draft = Draft::new(self.upstream.settings(), &endpoint.path, SystemTime::now());
        let received = receive(
            body,
            &endpoint.body,
            &self.admission,
            draft,
            &mut record.bytes_in,
        )
        .await?;
        let place = self.enter(endpoint, caller)?;
        let answer = self.call(endpoint, received, place, record).await?;
        Ok(Reply::Json(answer.body))
    }

    fn authenticate(
        &self,
        headers: &HeaderMap,
        endpoint: &Endpoint,
        record: &mut Record,
    ) -> Result<Caller, Refusal> {
        let caller = self
            .authenticator
            .authenticate(headers, SystemTime::now())
            .inspect_err(|refusal| {
                self.observer.metrics.auth_refused(refusal.reason());
            })?;
        record.user = Some(self.pseudonyms.of(&caller));
        match &endpoint.settings.scope {
            Some(scope) if !caller.has_scope(scope) => {
                self.observer.metrics.auth_refused("insufficient_scope");
                Err(Refusal::Scope(scope.clone()))
            }
            _ => Ok(caller),
        }
    }

    fn charge(
        &self,
        endpoint: &Endpoint,
        caller: CallerKey,
        standing: &mut Option<Standing>,
    ) -> Result<(), Refusal> {
        let Some(rate) = &endpoint.rate else {
            return Ok(());
        };
        match rate.check(caller) {
            Ok(left) => {
                *standing = Some(left);
                Ok(())
            }
            Err(wait) => {
                *standing = Some(wait.standing);
                self.observer.metrics.limit_refused(&endpoint.path, "rate");
                Err(Refusal::Rate(wait))
            }
        }
    }

    fn enter(&self, endpoint: &Endpoint, caller: CallerKey) -> Result<Option<Place>, Refusal> {
        let Some(concurrency) = &endpoint.concurrency else {
            return Ok(None);
        };
        match concurrency.enter(caller) {
            Some(place) => Ok(Some(place)),
            None => {
                self.observer
                    .metrics
                    .limit_refused(&endpoint.path, "concurrent");
                Err(Refusal::Concurrent)
            }
        }
    }

    /// Calls Qiniu in a task of its own: a billed call that has begun is finished even if its caller goes away.
    async fn call(
        &self,
        endpoint: &Arc<Endpoint>,
        received: Received,
        place: Option<Place>,
        record: &mut Record,
    ) -> Result<Answer, Refusal> {
        let started = Instant::now();
        let (upstream, observer, endpoint) = (
            Arc::clone(&self.upstream),
            Arc::clone(&self.observer),
            Arc::clone(endpoint),
        );
        let call = tokio::spawn(async move {
            let resend = endpoint.settings.kind == RouteKind::Session;
            let result = upstream
                .call(
                    received.outgoing,
                    &endpoint.answer,
                    endpoint.settings.timeout,
                    resend,
                )
                .await;
            drop((received.permit, place));
            observe(&observer, &endpoint.path, &result, started.elapsed());
            result
        });
        let result = call.await.map_err(|_| Refusal::Internal)?;
        record.upstream = Some(facts(&result, started.elapsed()));
        Ok(result?)
    }

    fn accepted(&self, parts: &Parts, reply: Reply, record: &mut Record) -> Response<Full<Bytes>> {
        record.code = "ok";
        let (status, content_type, body) = match reply {
            Reply::Preflight => (StatusCode::NO_CONTENT, None, Bytes::new()),
            Reply::Json(body) => (StatusCode::OK, Some(JSON), Bytes::from(body)),
            Reply::Page(content_type, body) => (
                StatusCode::OK,
                Some(HeaderValue::from_static(content_type)),
                body,
            ),
        };
        record.status = status.as_u16();
        record.bytes_out = body.len() as u64;
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        match content_type {
            Some(content_type) => drop(response.headers_mut().insert(CONTENT_TYPE, content_type)),
            None => self.cors.preflight(&parts.headers, response.headers_mut()),
        }
        response
    }

    fn refused(&self, refusal: &Refusal, record: &mut Record) -> Response<Full<Bytes>> {
        let told = refusal.told();
        record.status = told.status;
        record.code = told.code;
        let body = problem::body(&told, &record.request_id);
        record.bytes_out = body.len() as u64;
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() =
            StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        problem::headers(refusal, &told, response.headers_mut());
        match refusal.logged() {
            Some((tracing::Level::ERROR, what)) => {
                tracing::error!(request_id = %record.request_id, code = told.code, "{what}")
            }
            Some((_, what)) => {
                tracing::warn!(request_id = %record.request_id, code = told.code, "{what}")
            }
            None => {}
        }
        response
    }

    /// What every answer carries.
    fn finish(
        &self,
        request: &HeaderMap,
        headers: &mut HeaderMap,
        record: &Record,
        standing: Option<Standing>,
    ) {
        if let Ok(id) = HeaderValue::from_str(&record.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        if let Some(standing) = standing {
            let Standing {
                quota,
                window,
                remaining,
                reset,
            } = standing;
            let policy = HeaderValue::from_str(&format!("\"user\";q={quota};w={window}"));
            let limit = HeaderValue::from_str(&format!("\"user\";r={remaining};t={reset}"));
            if let (Ok(policy), Ok(limit)) = (policy, limit) {
                headers.insert(RATE_LIMIT_POLICY, policy);
                headers.insert(RATE_LIMIT, limit);
            }
        }
        self.cors.expose(request, headers);
    }
}

/// Reads a little of a refused body, in the background: a connection that is closed with unread bytes is reset, and the
/// sender never sees the answer. One that waits for `100 Continue` has sent nothing and must not be invited to.
fn release(mut body: Incoming, parts: &Parts, response: &mut Response<Full<Bytes>>) {
    if body.is_end_stream() {
        return;
    }
    if parts.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    if headers::expects_continue(&parts.headers) {
        return;
    }
    let http2 = parts.version == Version::HTTP_2;
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 && http2 {
                // To drop the body is to reset the stream, and a reset that comes together with the answer makes curl
                // and others forget the answer. Unread, the sender's window closes, and it looks.
                return std::future::pending().await;
            }
            if left == 0 {
                break;
            }
        }
    }));
}

fn new_request_id() -> String {
    let mut bytes = [0; 16];
    // A failing random source leaves the id all zero: still a valid answer.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}
