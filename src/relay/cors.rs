//! The CORS policy: which origins may read responses.
//!
//! Origins match exactly. Never writes a header field: [`super::respond`] does.

use std::time::Duration;

use hyper::header::HeaderValue;

/// `[server.cors]`, validated.
#[derive(Clone, Debug, Default)]
pub struct CorsSettings {
    /// Allowed origins, as browsers send them; empty: CORS is off.
    pub allowed_origins: Vec<String>,
    /// How long a browser may cache a preflight's response.
    pub max_age: Duration,
}

/// The policy, ready to use.
#[derive(Clone)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    max_age: HeaderValue,
}

impl Cors {
    /// Builds the policy from validated settings.
    pub fn new(settings: &CorsSettings) -> Self {
        Self {
            origins: settings
                .allowed_origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
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

    /// Value of `Access-Control-Max-Age`, in seconds.
    pub(super) fn max_age(&self) -> HeaderValue {
        self.max_age.clone()
    }
}
