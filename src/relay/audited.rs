//! The audit records of one request: before its call, after it, or for a cached response.
//!
//! Relies on [`crate::audit`] to write them. Without `[audit]`, and on other routes, nothing here
//! does anything. A call that was made is recorded however it ended.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    access_record::UpstreamFacts, admit::Admitted, gateway::Gateway, refusal::Refusal,
    request_id::RequestId,
};
use crate::{
    audit::{AuditLog, AuditedRequest, AuditedResult, OpenCall},
    auth::{Caller, ConsentClaim},
    route::RouteKind,
    verify_once::CachedResponse,
};

/// A request that is recorded.
pub(super) struct AuditedVerify {
    log: Arc<AuditLog>,
    request_id: RequestId,
    route: Arc<str>,
    caller: Arc<Caller>,
    video_sha256: Option<[u8; 32]>,
}

/// A call whose end will be recorded, also if it never ends.
pub(super) struct AuditedCall {
    verify: AuditedVerify,
    open: OpenCall,
}

impl AuditedVerify {
    /// `None` if the request is not to be recorded.
    pub(super) fn new(
        gateway: &Gateway,
        admitted: &Admitted,
        request_id: RequestId,
        video_sha256: Option<[u8; 32]>,
    ) -> Option<Self> {
        let log = gateway.audit.as_ref()?;
        (admitted.endpoint.settings.kind == RouteKind::Verify).then(|| Self {
            log: Arc::clone(log),
            request_id,
            route: Arc::clone(&admitted.endpoint.path),
            caller: Arc::clone(&admitted.caller),
            video_sha256,
        })
    }

    /// Records that the call is about to be made.
    pub(super) async fn begin(self) -> Result<AuditedCall, Refusal> {
        match self.log.begin(&self.request()).await {
            Ok(open) => Ok(AuditedCall { verify: self, open }),
            Err(_) => Err(Refusal::Unaudited),
        }
    }

    /// Records that the request gets this response of an earlier call.
    pub(super) async fn replay(self, cached: &CachedResponse) -> Result<(), Refusal> {
        let result = AuditedResult {
            code: "ok",
            qiniu_error_code: cached.error_code,
            serverlogid: cached.serverlogid.as_deref(),
            reqid: cached.reqid.as_deref(),
            response: Some(&cached.body),
            ..AuditedResult::default()
        };
        let replayed = self.log.replay(&self.request(), &result).await;
        replayed.map_err(|_| Refusal::Unaudited)
    }

    fn request(&self) -> AuditedRequest<'_> {
        AuditedRequest {
            request_id: self.request_id.as_str(),
            route: &self.route,
            issuer: &self.caller.issuer,
            user: &self.caller.user,
            consent: self.caller.consent.as_ref().map(ConsentClaim::json),
            video_sha256: self.video_sha256,
        }
    }
}

impl AuditedCall {
    /// Records how the call ended.
    pub(super) async fn end(self, body: &Result<Bytes, Refusal>, facts: &UpstreamFacts) {
        let code = match body {
            Ok(_) => "ok",
            Err(refusal) => refusal.problem().code,
        };
        let verdict = facts.verdict.as_ref();
        let result = AuditedResult {
            code,
            passed: verdict.map(|verdict| verdict.passed),
            verdict_id: verdict.map(|verdict| verdict.id.as_str()),
            delivered: verdict.and_then(|verdict| verdict.delivered),
            qiniu_error_code: facts.error_code,
            serverlogid: facts.serverlogid.as_deref(),
            reqid: facts.reqid.as_deref(),
            response: body.as_deref().ok(),
        };
        let AuditedCall { verify, open } = self;
        verify.log.end(open, &verify.request(), &result).await;
    }
}
