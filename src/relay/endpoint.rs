//! The configured routes, prepared for their requests.
//!
//! Built from checked settings. After a reload, a route of the same path takes over what was
//! counted of its callers. Relies on each step to prepare its own part. Never looks at a request
//! beyond its path.

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
    pub rate: Option<Arc<RateLimit>>,
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
pub struct Endpoints {
    by_path: HashMap<String, Arc<Endpoint>>,
    clock: Clock,
}

impl Endpoints {
    /// Prepares the routes. Quotas use `clock`.
    pub fn new(
        routes: Vec<RouteSettings>,
        upstream: &UpstreamSettings,
        needs: &ResponseNeeds,
        clock: &Clock,
    ) -> Self {
        let none = Self {
            by_path: HashMap::new(),
            clock: clock.clone(),
        };
        none.followed_by(routes, upstream, needs)
    }

    /// Prepares the routes that follow these. What is counted of a path lives on.
    pub fn followed_by(
        &self,
        routes: Vec<RouteSettings>,
        upstream: &UpstreamSettings,
        needs: &ResponseNeeds,
    ) -> Self {
        let endpoint = |route: RouteSettings| {
            let path = route.path.clone();
            let limits = match self.find(&path) {
                Some(previous) => RouteLimits::following(&route, previous, &self.clock),
                None => RouteLimits::new(&route, &self.clock),
            };
            let endpoint = Endpoint::new(route, upstream, needs, limits);
            (path, Arc::new(endpoint))
        };
        Self {
            by_path: routes.into_iter().map(endpoint).collect(),
            clock: self.clock.clone(),
        }
    }

    /// The route of exactly this path.
    pub fn find(&self, path: &str) -> Option<&Arc<Endpoint>> {
        self.by_path.get(path)
    }

    /// All routes.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.by_path.values()
    }

    /// Signs requests that start from now on with these credentials.
    pub fn sign_with(&self, credentials: &Credentials) {
        let endpoints = self.by_path.values();
        endpoints.for_each(|endpoint| endpoint.template.sign_with(credentials));
    }

    /// Frees the counters of idle callers. To be called about once a second.
    pub fn sweep(&self) {
        for endpoint in self.by_path.values() {
            if let Some(rate) = &endpoint.rate {
                rate.sweep();
            }
            if let Some(quota) = &endpoint.quota {
                quota.sweep();
            }
        }
    }
}

/// What is counted of the callers of a route, and the name that it is counted under.
struct RouteLimits {
    path: Arc<str>,
    rate: Option<Arc<RateLimit>>,
    quota: Option<Arc<Quota>>,
    concurrency: Option<Arc<Concurrency>>,
}

impl RouteLimits {
    fn new(route: &RouteSettings, clock: &Clock) -> Self {
        let rate = route
            .rate
            .and_then(|rate| RateLimit::new(rate, route.burst));
        Self {
            path: route.path.as_str().into(),
            rate: rate.map(Arc::new),
            quota: route.quota.map(|quota| Quota::new(quota, clock.clone())),
            concurrency: route.concurrent_per_user.map(Concurrency::new),
        }
    }

    /// The limits of a route whose `previous` ones have counted already. The path is the same
    /// value, by which metrics find it.
    fn following(route: &RouteSettings, previous: &Endpoint, clock: &Clock) -> Self {
        let new = Self::new(route, clock);
        let rate = previous.rate.as_ref().zip(route.rate);
        let quota = previous.quota.as_ref().zip(route.quota);
        let concurrency = previous.concurrency.as_ref().zip(route.concurrent_per_user);
        Self {
            path: Arc::clone(&previous.path),
            rate: match rate {
                Some((counted, rate)) => counted.followed_by(rate, route.burst),
                None => new.rate,
            },
            quota: match quota {
                Some((counted, quota)) => Some(counted.followed_by(quota)),
                None => new.quota,
            },
            concurrency: match concurrency {
                Some((counted, max)) => Some(counted.with_max(max)),
                None => new.concurrency,
            },
        }
    }
}

impl Endpoint {
    fn new(
        settings: RouteSettings,
        upstream: &UpstreamSettings,
        needs: &ResponseNeeds,
        limits: RouteLimits,
    ) -> Self {
        let expected = match settings.kind {
            RouteKind::Session => ExpectedResponse::Session,
            RouteKind::Verify => ExpectedResponse::Envelope,
            RouteKind::Plain => ExpectedResponse::Object,
        };
        Self {
            path: limits.path,
            template: RequestTemplate::new(upstream, &settings.path),
            body: match needs.video_digest {
                true => BodyRules::new(&settings, needs.bound).hashing_video(),
                false => BodyRules::new(&settings, needs.bound),
            },
            answer: answer_rules(&settings, expected, needs),
            rate: limits.rate,
            quota: limits.quota,
            concurrency: limits.concurrency,
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
