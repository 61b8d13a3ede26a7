//! The CORS policy: which origins may read responses, and which header fields their pages may send.
//!
//! Origins match exactly. Never writes a header field: [`super::respond`] does. A preflight that
//! asks for access to a private network is answered like any other: browsers ask the user instead.

use std::time::Duration;

use hyper::header::HeaderValue;

/// Header fields that a page may always send: those of the gateway, and those that tracing (W3C,
/// Sentry, Datadog) and old libraries add to each request. `*` would not allow `Authorization`.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Liveness-Session, \
    Liveness-Face-Field, Liveness-Nonce, traceparent, tracestate, baggage, sentry-trace, \
    x-datadog-trace-id, x-datadog-parent-id, x-datadog-origin, x-datadog-sampling-priority, \
    x-requested-with";

/// `[server.cors]`, validated.
#[derive(Clone, Debug, Default)]
pub struct CorsSettings {
    /// Allowed origins, as browsers send them; empty: CORS is off.
    pub allowed_origins: Vec<String>,
    /// Further header fields that a page may send.
    pub allowed_headers: Vec<String>,
    /// How long a browser may cache a preflight's response.
    pub max_age: Duration,
}

/// The policy, ready to use.
#[derive(Clone)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    headers: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    /// Builds the policy from validated settings.
    pub fn new(settings: &CorsSettings) -> Self {
        let mut headers = ALLOWED_HEADERS.to_owned();
        for name in &settings.allowed_headers {
            headers.push_str(", ");
            headers.push_str(name);
        }
        Self {
            origins: settings
                .allowed_origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
            headers: HeaderValue::try_from(headers)
                .unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS)),
            max_age: HeaderValue::from(settings.max_age.as_secs()),
        }
    }

    /// Whether no origin is allowed at all.
    pub(super) fn is_off(&self) -> bool {
        self.origins.is_empty()
    }

    /// The value of `Origin`, if its page may read the response.
    pub(super) fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        self.origins.contains(origin).then(|| origin.clone())
    }

    /// Value of `Access-Control-Allow-Headers`.
    pub(super) fn allowed_headers(&self) -> HeaderValue {
        self.headers.clone()
    }

    /// Value of `Access-Control-Max-Age`, in seconds.
    pub(super) fn max_age(&self) -> HeaderValue {
        self.max_age.clone()
    }
}
