//! The closed sets of label values.
//!
//! Each word is a contract: dashboards and alerts select by it. The table in `docs/metrics.md`
//! lists all of them, and a test compares it with these. Never holds a value that comes from
//! outside.

use crate::closed_set::closed_set;

closed_set! {
    /// Why a request's token was rejected: `reason` of `auth_refusals_total`.
    pub enum AuthReason {
        /// There is no token.
        MissingToken = "missing_token",
        /// The scheme is not `Bearer`.
        WrongScheme = "wrong_scheme",
        /// More than one `Authorization` header.
        DuplicateHeader = "duplicate_header",
        /// The token is too long.
        TokenTooLong = "token_too_long",
        /// The token is not a signed JWT.
        Malformed = "malformed",
        /// The issuer is not configured.
        UnknownIssuer = "unknown_issuer",
        /// The issuer's keys are unavailable.
        NoKeys = "no_keys",
        /// The issuer has no key of this id.
        UnknownKey = "unknown_key",
        /// The algorithm is not allowed.
        AlgorithmNotAllowed = "algorithm_not_allowed",
        /// The signature is wrong.
        BadSignature = "bad_signature",
        /// `exp` is in the past.
        Expired = "expired",
        /// `nbf` is in the future.
        NotYetValid = "not_yet_valid",
        /// `iat` is in the future.
        IssuedInFuture = "issued_in_future",
        /// The token is valid for longer than `max_lifetime`.
        LifetimeTooLong = "lifetime_too_long",
        /// The token is for another audience.
        WrongAudience = "wrong_audience",
        /// The token is of another type.
        WrongType = "wrong_type",
        /// The token requires an extension.
        UnknownCrit = "unknown_crit",
        /// A claim occurs twice.
        DuplicateClaim = "duplicate_claim",
        /// A parameter of the header occurs twice.
        DuplicateHeaderParameter = "duplicate_header_parameter",
        /// The claims for verdicts are too long.
        CopiedClaimsTooLong = "copied_claims_too_long",
        /// A claim has a wrong type or value.
        BadClaim = "bad_claim",
        /// A required claim is missing.
        MissingClaim = "missing_claim",
        /// The token lacks the route's scope.
        InsufficientScope = "insufficient_scope",
        /// The token lacks the claim of its user's consent.
        MissingConsent = "missing_consent",
    }
}

closed_set! {
    /// Which limit of a route rejected a request: `limit` of `limit_refusals_total`. The limit of
    /// client addresses is not a route's, and counted apart.
    pub enum RouteLimit {
        /// The user's rate.
        Rate = "rate",
        /// The user's quota.
        Quota = "quota",
        /// The user's calls at the same time.
        Concurrent = "concurrent",
        /// The user's share of the body memory.
        BodyMemory = "body_memory",
    }
}

closed_set! {
    /// How a call to Qiniu ended: `outcome` of `upstream_requests_total`.
    pub enum UpstreamOutcome {
        /// A response with the `error_code` 0, or without one.
        Success = "success",
        /// A response with another `error_code`.
        QiniuError = "qiniu_error",
        /// All connections were in use.
        NoConnectionFree = "no_connection_free",
        /// No memory was left for the response, which is to be delivered as evidence.
        NoEvidenceMemory = "no_evidence_memory",
        /// No file descriptor was left.
        NoDescriptor = "no_descriptor",
        /// No connection could be opened.
        Unreachable = "unreachable",
        /// The route's timeout passed.
        Timeout = "timeout",
        /// Qiniu rejected our credentials.
        RejectedCredentials = "rejected_credentials",
        /// Qiniu rejected the request.
        RejectedRequest = "rejected_request",
        /// The body was too large for Qiniu.
        TooLarge = "too_large",
        /// Qiniu was busy.
        Busy = "busy",
        /// Qiniu failed.
        Error = "error",
        /// The connection ended without a response.
        NoAnswer = "no_answer",
        /// The response can't be trusted.
        InvalidResponse = "invalid_response",
    }
}

closed_set! {
    /// How a retry got the response of the first try: `state` of `replayed_answers_total`.
    pub enum ReplayState {
        /// The response was there.
        Cached = "cached",
        /// The first try was still in progress, and the retry waited for it.
        Waited = "waited",
    }
}

closed_set! {
    /// What a signed verdict says: `passed` of `verdicts_total`.
    pub enum VerdictResult {
        /// Passed.
        Passed = "true",
        /// Failed.
        Failed = "false",
    }
}

closed_set! {
    /// Whether the app's backend acknowledged evidence: `outcome` of `evidence_deliveries_total`.
    pub enum DeliveryOutcome {
        /// It did.
        Delivered = "delivered",
        /// It did not, even at the second attempt.
        Undelivered = "undelivered",
    }
}

closed_set! {
    /// How a fetch of an issuer's keys ended: `outcome` of `key_set_fetches_total`.
    pub enum KeySetOutcome {
        /// The keys are in use.
        Success = "success",
        /// No connection could be opened, or it ended without a response.
        Unreachable = "unreachable",
        /// The fetch took too long.
        Timeout = "timeout",
        /// The status was not 200.
        Status = "status",
        /// The document was too large.
        TooLarge = "too_large",
        /// The document can't be used.
        Invalid = "invalid",
    }
}

closed_set! {
    /// How a TLS handshake of the public listener ended: `outcome` of `tls_handshakes_total`.
    pub enum TlsHandshakeOutcome {
        /// Completed.
        Success = "success",
        /// Not completed within `server.head_timeout`.
        Timeout = "timeout",
        /// The peer closed or reset the connection in the middle of it.
        CutOff = "cut_off",
        /// The peer closed the connection before it sent a byte, as health checks of load
        /// balancers do.
        Closed = "closed",
        /// The peer does not speak TLS: plain HTTP, for example.
        NotTls = "not_tls",
        /// No version, cipher suite, group, signature scheme or protocol that both sides know.
        NoSharedParameters = "no_shared_parameters",
        /// The peer rejected our certificate.
        CertificateRejected = "certificate_rejected",
        /// `client_ca` is set, and the peer presented no certificate.
        ClientCertificateMissing = "client_certificate_missing",
        /// The peer's certificate was rejected.
        ClientCertificateRejected = "client_certificate_rejected",
        /// Another failure.
        Other = "other",
    }
}

closed_set! {
    /// What was reloaded: `what` of `reloads_total` and `last_reload_successful`.
    pub enum ReloadedPart {
        /// The configuration file.
        Configuration = "configuration",
        /// `server.tls`
        Tls = "tls",
        /// `qiniu.access_key` and `secret_key`
        Credentials = "credentials",
        /// The keys of an `[[identity]]`.
        IdentityKeys = "identity_keys",
        /// `sessions.seal_key` and `previous_seal_key`
        SealKeys = "seal_keys",
        /// `verdict.signing_key` and `previous_keys`
        VerdictKeys = "verdict_keys",
        /// `evidence.secret`
        EvidenceSecret = "evidence_secret",
        /// A `ca_file`.
        Authorities = "authorities",
        /// `outbound.proxy`
        Proxy = "proxy",
        /// `store.redis`
        Store = "store",
    }
}

closed_set! {
    /// How a reload ended: `outcome` of `reloads_total`.
    pub enum ReloadOutcome {
        /// The new value is in use.
        Success = "success",
        /// The new value can't be used, and the old one stays in use.
        Refused = "refused",
    }
}

closed_set! {
    /// Whether a record of the audit log was written: `outcome` of `audit_records_total`.
    pub enum AuditOutcome {
        /// It was.
        Written = "written",
        /// It was not.
        Failed = "failed",
    }
}

closed_set! {
    /// What became of a span of a trace: `outcome` of `trace_spans_total`.
    pub enum SpanOutcome {
        /// The collector took it.
        Exported = "exported",
        /// The queue was full, or the collector did not take it.
        Dropped = "dropped",
    }
}
