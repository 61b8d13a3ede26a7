//! The journey of a request. [`Gateway::handle`] owns what every request gets: an id, a record, and an answer whatever
//! happens. [`Gateway::relay`] is the way itself, a line a step, each of which may end it with a refusal.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body, Incoming},
    http::request::Parts,
};
use ipnet::IpNet;

use super::{
    RouteKind,
    cors::Cors,
    endpoint::{Endpoint, Endpoints},
    headers,
    outcome::{facts, observe},
    record::Record,
    refusal::Refusal,
    reply::{self, Page, Reply},
};
use crate::{
    auth::{Authenticator, Caller},
    body::receive::{Admission, Received, receive},
    limit::{CallerKey, CallerKeys, concurrency::Place, rate::Standing},
    qiniu::{answer::Answer, outgoing::Draft, pool::Upstream},
    telemetry::Observer,
};

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
    pub authenticator: Arc<Authenticator>,
    /// Names callers for counting.
    pub callers: CallerKeys,
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
            Ok(reply) => reply::accepted(reply, &mut record),
            Err(refusal) => {
                let mut response = reply::refused(&refusal, &mut record);
                reply::release(body, &parts, &mut response);
                response
            }
        };
        reply::finish(response.headers_mut(), &record, standing);
        self.cors.expose(&parts.headers, response.headers_mut());
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
            return Ok(Reply::Page(page.clone()));
        }
        let endpoint = self
            .endpoints
            .find(parts.uri.path())
            .ok_or(Refusal::UnknownRoute)?;
        record.route = Some(Arc::clone(&endpoint.path));
        headers::check_head(parts, self.max_head_bytes)?;
        if parts.method == Method::OPTIONS {
            return Ok(Reply::Preflight(self.cors.preflight(&parts.headers)));
        }
        if parts.method != Method::POST {
            return Err(Refusal::Method);
        }
        let caller = self.authenticate(&parts.headers, endpoint, record).await?;
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

    async fn authenticate(
        &self,
        headers: &HeaderMap,
        endpoint: &Endpoint,
        record: &mut Record,
    ) -> Result<Arc<Caller>, Refusal> {
        let caller = self
            .authenticator
            .authenticate(headers, SystemTime::now())
            .await
            .inspect_err(|refusal| {
                self.observer.metrics.auth_refused(refusal.reason());
            })?;
        record.user = Some(Arc::clone(&caller.pseudonym));
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
}

fn new_request_id() -> String {
    let mut bytes = [0; 16];
    // A failing random source leaves the id all zero: still a valid answer.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}
