//! The configured routes, prepared for their requests.
//!
//! Built once at start from checked settings. Relies on each step to prepare its own part.
//! Never looks at a request beyond its path.

use std::{collections::HashMap, sync::Arc};

use crate::route::{RouteKind, RouteSettings};
use crate::{
    body::BodyRules,
    limit::{clock::Clock, concurrency::Concurrency, quota::Quota, rate::RateLimit},
    memory::MemoryBudget,
    qiniu::{
        Credentials, UpstreamSettings,
        kept_back::KeptBackNames,
        request::RequestTemplate,
        response::{ExpectedResponse, ResponseRules},
    },
    verdict::judge::ScoreThreshold,
};

/// A route with everything that its requests need.
pub struct Endpoint {
    /// The path, for metrics and access records.
    pub path: Arc<str>,
    /// The validated settings.
    pub settings: RouteSettings,
    /// The common part of its requests to Qiniu.
    pub template: RequestTemplate,
    /// The rules for request bodies.
    pub body: BodyRules,
    /// The rules for Qiniu's responses.
    pub answer: ResponseRules,
    /// The rate limit; `None`: unlimited.
    pub rate: Option<RateLimit>,
    /// The quota; `None`: unlimited.
    pub quota: Option<Arc<Quota>>,
    /// The limit of concurrent calls; `None`: unlimited.
    pub concurrency: Option<Arc<Concurrency>>,
}

/// What later steps need of bodies and responses, besides what each route configures.
#[derive(Clone, Default)]
pub struct ResponseNeeds {
    /// The scores of a verdict, with this threshold.
    pub threshold: Option<ScoreThreshold>,
    /// The whole response of a `verify`, counted in this memory.
    pub whole: Option<Arc<MemoryBudget>>,
    /// The SHA-256 of the video.
    pub video_digest: bool,
    /// Session ids opened in requests and sealed in responses.
    pub bound: bool,
    /// The names of members that no response passes on, of all routes together.
    pub kept_back: Arc<KeptBackNames>,
}

/// All routes, by path.
pub struct Endpoints(HashMap<String, Arc<Endpoint>>);

impl Endpoints {
    /// Prepares the routes. Quotas use `clock`.
    pub fn new(
        routes: Vec<RouteSettings>,
        upstream: &UpstreamSettings,
        needs: &ResponseNeeds,
        clock: &Clock,
    ) -> Self {
        let endpoint = |route: RouteSettings| {
            let path = route.path.clone();
            (path, Arc::new(Endpoint::new(route, upstream, needs, clock)))
        };
        Self(routes.into_iter().map(endpoint).collect())
    }

    /// The route of exactly this path.
    pub fn find(&self, path: &str) -> Option<&Arc<Endpoint>> {
        self.0.get(path)
    }

    /// All routes.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.0.values()
    }

    /// Signs requests that start from now on with these credentials.
    pub fn sign_with(&self, credentials: &Credentials) {
        let endpoints = self.0.values();
        endpoints.for_each(|endpoint| endpoint.template.sign_with(credentials));
    }

    /// Frees the counters of idle callers. To be called about once a second.
    pub fn sweep(&self) {
        for endpoint in self.0.values() {
            if let Some(rate) = &endpoint.rate {
                rate.sweep();
            }
            if let Some(quota) = &endpoint.quota {
                quota.sweep();
            }
        }
    }
}

impl Endpoint {
    fn new(
        settings: RouteSettings,
        upstream: &UpstreamSettings,
        needs: &ResponseNeeds,
        clock: &Clock,
    ) -> Self {
        let expected = match settings.kind {
            RouteKind::Session => ExpectedResponse::Session,
            RouteKind::Verify => ExpectedResponse::Envelope,
            RouteKind::Plain => ExpectedResponse::Object,
        };
        Self {
            path: settings.path.as_str().into(),
            template: RequestTemplate::new(upstream, &settings.path),
            body: match needs.video_digest {
                true => BodyRules::new(&settings, needs.bound).hashing_video(),
                false => BodyRules::new(&settings, needs.bound),
            },
            answer: answer_rules(&settings, expected, needs),
            rate: settings
                .rate
                .and_then(|rate| RateLimit::new(rate, settings.burst)),
            quota: settings.quota.map(|quota| Quota::new(quota, clock.clone())),
            concurrency: settings.concurrent_per_user.map(Concurrency::new),
            settings,
        }
    }
}

fn answer_rules(
    settings: &RouteSettings,
    expected: ExpectedResponse,
    needs: &ResponseNeeds,
) -> ResponseRules {
    let mut rules = ResponseRules::new(&settings.remove, settings.max_string, expected)
        .allowing(settings.response_fields.as_deref(), settings.scores_hidden)
        .reporting(&needs.kept_back);
    if needs.bound {
        rules = rules.sealed();
    }
    if settings.kind != RouteKind::Verify {
        return rules;
    }
    if let Some(threshold) = needs.threshold {
        rules = rules.judged(threshold.name());
    }
    if let Some(memory) = &needs.whole {
        rules = rules.retained(memory);
    }
    rules
}
