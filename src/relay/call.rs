//! The call to Qiniu, and all that follows from it: a billed call that has begun is finished even if its caller goes away, and
//! its session's turn ends by what it came to.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{
    conclude::About,
    endpoint::Endpoint,
    handle::Gateway,
    outcome::{facts, observe},
    record::Record,
    refusal::Refusal,
    to_the_end::ToTheEnd,
    turn,
};
use crate::route::RouteKind;
use crate::{
    body::receive::ReceivedBody,
    limit::{
        concurrency::ConcurrencyPermit,
        quota::shared::{CallerQuota, Reserved},
        rate::LimitExceeded,
    },
    session::{ledger::VerifyLease, ticket::SessionOwner},
};

/// What a call to Qiniu is made with, besides the request.
pub(super) struct Leave {
    /// Where the call is reserved.
    pub(super) quota: Option<CallerQuota>,
    /// Whom a session is for.
    pub(super) owner: Option<SessionOwner>,
    /// One of the caller's calls under way.
    pub(super) place: Option<ConcurrencyPermit>,
    /// The one call of its session.
    pub(super) turn: Option<VerifyLease>,
}

impl Gateway {
    /// Calls Qiniu and makes the caller's answer; to the end, even if the caller goes away. No `async fn`: what it is given
    /// goes into the box at once, and is no part of the future that waits for it.
    pub(super) fn call(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        received: ReceivedBody,
        leave: Leave,
        about: About,
        record: &mut Record,
    ) -> impl Future<Output = Result<Bytes, Refusal>> {
        let (gateway, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
        let under_way = self.calls.begin();
        let work = async move {
            let _until_its_end = under_way;
            let (telemetry, sessions) = (&gateway.telemetry, gateway.sessions.as_ref());
            // Here, not before: between this and the call, nothing can take the turn away from a caller that leaves.
            let mut reserved = match reserve(leave.quota).await {
                Ok(reserved) => reserved,
                Err(wait) => {
                    telemetry
                        .metrics
                        .count_limit_refusal(&endpoint.path, "quota");
                    if let Some(turn) = leave.turn {
                        turn::give_back(sessions, turn).await;
                    }
                    return (None, Err(Refusal::Quota(wait)));
                }
            };
            if let Some(reserved) = &mut reserved {
                reserved.begin();
            }
            let started = Instant::now();
            let resend = endpoint.settings.kind == RouteKind::Session;
            let mut result = gateway
                .upstream
                .call(
                    received.outgoing,
                    &endpoint.answer,
                    endpoint.settings.timeout,
                    resend,
                    leave.owner.as_ref(),
                )
                .await;
            drop((received.permit, leave.place));
            let duration = started.elapsed();
            observe(telemetry, &endpoint.path, &result, duration);
            let facts = facts(&mut result, duration);
            let untaken = matches!(&result, Err(failure) if failure.nothing_was_taken());
            match reserved {
                Some(reserved) if untaken => Box::pin(reserved.give_back()).await,
                counted => drop(counted),
            }
            let body = match result {
                Ok(answer) => {
                    let conclusions = &gateway.conclusions;
                    conclusions.conclude(answer, &about, telemetry).await
                }
                Err(failure) => Err(failure.into()),
            };
            let body = body.map(Bytes::from);
            if let Some(turn) = leave.turn {
                turn::end(sessions, turn, body.as_ref().ok(), &facts, untaken).await;
            }
            (Some(facts), body)
        };
        let call = ToTheEnd::new(work, &self.calls.boxes);
        async {
            let (facts, body) = call.await.map_err(|_| Refusal::Internal)?;
            record.upstream = facts;
            body
        }
    }
}

async fn reserve(quota: Option<CallerQuota>) -> Result<Option<Reserved>, LimitExceeded> {
    match quota {
        Some(quota) => Box::pin(quota.reserve()).await.map(Some),
        None => Ok(None),
    }
}
