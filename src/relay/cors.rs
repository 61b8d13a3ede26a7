//! Cross-origin calls from browsers (Fetch standard, section 3.2): exact origins, and the headers on errors too, so that
//! a page sees a 401 and not a "CORS error".

use std::time::Duration;

use hyper::{
    HeaderMap,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
    },
};

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate",
);
const METHODS: HeaderValue = HeaderValue::from_static("POST");
const HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Liveness-Session, Liveness-Face-Field");

/// `[server.cors]`, checked.
#[derive(Clone, Debug, Default)]
pub struct CorsSettings {
    /// Exact origins, as a browser sends them.
    pub allowed_origins: Vec<String>,
    /// How long a browser may keep a preflight's answer.
    pub max_age: Duration,
}

/// Which origins may read answers.
#[derive(Clone)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    max_age: HeaderValue,
}

impl Cors {
    /// Origins were checked to be exact ones.
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

    /// The origin of the page that asks, if it may read the answer.
    pub fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = request.get(ORIGIN)?;
        self.origins.contains(origin).then(|| origin.clone())
    }

    /// Adds what every answer needs to be read by the page that asked.
    pub fn expose(&self, allowed: Option<HeaderValue>, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = allowed {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    /// What a preflight asks for; nothing for an origin that is not allowed.
    pub fn preflight(&self, request: &HeaderMap) -> HeaderMap {
        let mut answer = HeaderMap::new();
        if self.allowed(request).is_some() {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            answer.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        answer
    }
}
