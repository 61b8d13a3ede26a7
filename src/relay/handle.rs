//! The journey of a request. [`Gateway::handle`] owns what every request gets: an id, a record, and an answer whatever
//! happens. [`Gateway::relay`] is the way itself, a line a step, each of which may end it with a refusal.

use std::{collections::HashMap, future::poll_fn, net::SocketAddr, sync::Arc, task::Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, Version,
    body::{Body, Incoming},
    http::request::Parts,
};
use ipnet::IpNet;

use super::{
    call::Leave,
    calls::Calls,
    charge::Charged,
    conclude::{About, Conclusions},
    cors::Cors,
    endpoint::{Endpoint, Endpoints},
    headers,
    record::Record,
    refusal::Refusal,
    reply::{self, Page, Reply},
    request_id::RequestIds,
    turn,
};
use crate::route::{RouteKind, VideoCheck};
use crate::{
    auth::{Authenticator, Caller},
    body::{
        BodyRefusal,
        incoming::BodyAdmission,
        receive::{BodyForm, ReceivedBody, receive},
    },
    lifecycle::Readiness,
    limit::{CallerKey, CallerKeys, concurrency::ConcurrencyPermit},
    qiniu::pool::Upstream,
    session::{
        Sessions,
        ledger::{Claim, VerifyLease},
        ticket::SessionOwner,
    },
    store::Store,
    telemetry::Telemetry,
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
    /// Names requests.
    pub request_ids: RequestIds,
    /// Where requests may go.
    pub endpoints: Arc<Endpoints>,
    /// Who may call.
    pub authenticator: Arc<Authenticator>,
    /// Binds sessions to callers; none: they are not bound.
    pub sessions: Option<Arc<Sessions>>,
    /// What replicas share; none: this one is alone.
    pub store: Option<Arc<Store>>,
    /// Names callers for counting.
    pub callers: CallerKeys,
    /// What browsers may do.
    pub cors: Cors,
    /// What bodies may take.
    pub admission: BodyAdmission,
    /// Qiniu.
    pub upstream: Arc<Upstream>,
    /// Calls to it.
    pub calls: Calls,
    /// Judges answers and signs verdicts.
    pub conclusions: Arc<Conclusions>,
    /// Shown to anybody who asks by `GET`.
    pub pages: HashMap<&'static str, Page>,
    /// Records and metrics.
    pub telemetry: Arc<Telemetry>,
    /// Says when the time for requests under way is over.
    pub readiness: Arc<Readiness>,
    /// Whose word counts on where a request came from.
    pub trusted_proxies: Vec<IpNet>,
    /// Bytes of a head at the most.
    pub max_head_bytes: usize,
}

impl Gateway {
    /// Answers a request. Never fails: what goes wrong is an answer too.
    ///
    /// No `async fn`, since the parts of what that is given would stand in the future beside the whole, which stays in there.
    pub fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Full<Bytes>>> {
        let (mut parts, mut body) = request.into_parts();
        let forwarded =
            headers::forwarded(&parts.headers, peer.address.ip(), &self.trusted_proxies);
        let request_id = forwarded
            .request_id
            .unwrap_or_else(|| self.request_ids.next());
        let mut record = Record::begin(
            Arc::clone(&self.telemetry),
            peer.address,
            &parts.method,
            request_id,
        );
        record.forwarded_for = forwarded.path;
        async move {
            let mut charged = Charged::default();
            let http2 = parts.version == Version::HTTP_2;
            let outcome = tokio::select! {
                biased;
                outcome = self.relay(&parts, &mut body, &mut record, &mut charged) => outcome,
                () = self.time_is_over(http2) => Err(Refusal::ShuttingDown),
            };

            let allowed = self.cors.allowed(&parts.headers);
            let mut response = match outcome {
                Ok(reply) => {
                    reply::accepted(reply, std::mem::take(&mut parts.headers), &mut record)
                }
                Err(refusal) => {
                    let mut response = reply::refused(&refusal, &mut record);
                    reply::release(body, &parts, &mut response);
                    response
                }
            };
            reply::finish(response.headers_mut(), &record, charged.standings());
            self.cors.expose(allowed, response.headers_mut());
            response
        }
    }

    /// Resolves when the time for requests under way is over. An HTTP/1.1 connection polls its request when it is, so a look is
    /// enough there; a request over HTTP/2 has to wait for it on its own.
    async fn time_is_over(&self, http2: bool) {
        if http2 {
            return self.readiness.ended().await;
        }
        poll_fn(|_| match self.readiness.is_over() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// The journey, top to bottom. Nothing of the body is read before the limits have passed.
    async fn relay(
        self: &Arc<Self>,
        parts: &Parts,
        body: &mut Incoming,
        record: &mut Record,
        charged: &mut Charged,
    ) -> Result<Reply, Refusal> {
        if let Some((path, page)) = self.pages.get_key_value(parts.uri.path()) {
            record.route = Some((*path).into());
            headers::check_head(parts, self.max_head_bytes)?;
            return match parts.method {
                Method::GET => Ok(Reply::Page(page.clone())),
                _ => Err(Refusal::Method("GET")),
            };
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
            return Err(Refusal::Method("POST, OPTIONS"));
        }
        let caller = self.authenticate(&parts.headers, endpoint, record).await?;
        let key = self.callers.of(&caller);
        self.charge(endpoint, &caller, key, charged).await?;
        let kind = endpoint.settings.kind;
        let form = headers::body_form(&parts.headers, kind, body.is_end_stream())?;
        // A session is opened on its way up or sealed on its way down; other routes have none.
        let sessions = self.sessions.as_ref().filter(|_| kind != RouteKind::Plain);
        let owner = sessions.map(|it| it.owner(&caller.issuer, &caller.user));
        let received = self.receive(body, &form, endpoint, owner.as_ref(), record);
        let received = received.await;
        let mut received = received.inspect_err(|refusal| self.count_finding(refusal))?;
        self.inspect(endpoint, &received, record)?;
        let upload = received.upload.take();
        let patience = turn::patience(endpoint.settings.timeout, self.conclusions.longest());
        let turn = match turn::claim(self.sessions.as_ref(), upload, patience).await? {
            Some(Claim::Replayed(kept)) => {
                record.upstream = Some(turn::recalled(&kept));
                return Ok(Reply::Json(kept.body.clone()));
            }
            Some(Claim::Acquired(turn)) => Some(turn),
            None => None,
        };
        let (place, turn) = self.enter(endpoint, key, turn).await?;
        let leave = Leave {
            quota: charged.quota(),
            owner,
            place,
            turn,
        };
        let about = About {
            caller,
            request_id: record.request_id,
            scores_hidden: endpoint.settings.scores_hidden,
            video_sha256: received.video_sha256,
        };
        let body = self.call(endpoint, received, leave, about, record).await?;
        Ok(Reply::Json(body))
    }

    async fn authenticate(
        &self,
        headers: &HeaderMap,
        endpoint: &Endpoint,
        record: &mut Record,
    ) -> Result<Arc<Caller>, Refusal> {
        let caller = self
            .authenticator
            .authenticate(headers, record.time())
            .await
            .inspect_err(|refusal| {
                self.telemetry.metrics.count_auth_refusal(refusal.reason());
            })?;
        record.user = Some(Arc::clone(&caller.pseudonym));
        match &endpoint.settings.scope {
            Some(scope) if !caller.has_scope(scope) => {
                self.telemetry
                    .metrics
                    .count_auth_refusal("insufficient_scope");
                Err(Refusal::Scope(scope.clone()))
            }
            _ => Ok(caller),
        }
    }

    fn receive<'a>(
        &'a self,
        body: &'a mut Incoming,
        form: &'a BodyForm,
        endpoint: &'a Endpoint,
        owner: Option<&SessionOwner>,
        record: &'a mut Record,
    ) -> impl Future<Output = Result<ReceivedBody, BodyRefusal>> {
        let draft = endpoint.template.draft(record.time());
        let count = &mut record.bytes_in;
        let owner = owner
            .filter(|_| endpoint.settings.kind == RouteKind::Verify)
            .cloned();
        let (rules, admission) = (&endpoint.body, &self.admission);
        receive(body, form, rules, admission, draft, owner, count)
    }

    /// Counts what was found wrong with a video on its way.
    fn count_finding(&self, refusal: &BodyRefusal) {
        if let BodyRefusal::Video(finding) = refusal {
            self.telemetry.metrics.count_video_finding(finding.name());
        }
    }

    /// Looks at the video's container; what is wrong with it is counted, or refused.
    fn inspect(
        &self,
        endpoint: &Endpoint,
        received: &ReceivedBody,
        record: &Record,
    ) -> Result<(), Refusal> {
        if endpoint.settings.video_check == VideoCheck::Off {
            return Ok(());
        }
        let Err(finding) = received.inspect() else {
            return Ok(());
        };
        self.telemetry.metrics.count_video_finding(finding.name());
        if endpoint.settings.video_check == VideoCheck::Enforce {
            return Err(BodyRefusal::Video(finding).into());
        }
        tracing::info!(
            request_id = %record.request_id,
            finding = finding.name(),
            "a video is not what Qiniu asks for"
        );
        Ok(())
    }

    /// Lets the caller make one more call; a turn that can't be taken now leaves its session as good as before.
    async fn enter(
        &self,
        endpoint: &Endpoint,
        caller: CallerKey,
        turn: Option<VerifyLease>,
    ) -> Result<(Option<ConcurrencyPermit>, Option<VerifyLease>), Refusal> {
        let concurrency = endpoint.concurrency.as_ref();
        let place = concurrency.map(|concurrency| concurrency.enter(caller));
        if let Some(None) = place {
            self.telemetry
                .metrics
                .count_limit_refusal(&endpoint.path, "concurrent");
            if let Some(turn) = turn {
                turn::give_back(self.sessions.as_ref(), turn).await;
            }
            return Err(Refusal::Concurrent);
        }
        Ok((place.flatten(), turn))
    }
}
