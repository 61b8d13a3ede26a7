//! The routes, each made ready: path in, everything that its requests need out.

use std::{collections::HashMap, sync::Arc};

use crate::route::{RouteKind, RouteSettings};
use crate::{
    body::BodyRules,
    limit::{clock::Clock, concurrency::Concurrency, quota::Quota, rate::RateLimit},
    memory::BodyMemory,
    qiniu::{
        Credentials, UpstreamSettings,
        request::RequestTemplate,
        response::{ExpectedResponse, ResponseRules},
    },
    verdict::judge::ScoreThreshold,
};

/// A route, ready to serve.
pub struct Endpoint {
    /// For metrics and records.
    pub path: Arc<str>,
    /// What the operator decided.
    pub settings: RouteSettings,
    /// What its requests to Qiniu have in common.
    pub template: RequestTemplate,
    /// What a body must be.
    pub body: BodyRules,
    /// What is done to an answer.
    pub answer: ResponseRules,
    /// How often a caller may call.
    pub rate: Option<RateLimit>,
    /// How many calls a caller may make in each window.
    pub quota: Option<Arc<Quota>>,
    /// How many calls of a caller may be under way.
    pub concurrency: Option<Arc<Concurrency>>,
}

/// What is wanted of bodies and answers besides what each route says.
#[derive(Clone, Default)]
pub struct Wanted {
    /// The marks of a verdict, with this threshold.
    pub threshold: Option<ScoreThreshold>,
    /// The whole, held in this memory.
    pub whole: Option<Arc<BodyMemory>>,
    /// The digest of the video that was judged.
    pub video_digest: bool,
    /// Session ids opened on their way up, and sealed on their way down.
    pub bound: bool,
}

/// All routes.
pub struct Endpoints(HashMap<String, Arc<Endpoint>>);

impl Endpoints {
    /// Makes the routes ready; quotas go by `clock`.
    pub fn new(
        routes: Vec<RouteSettings>,
        upstream: &UpstreamSettings,
        wanted: &Wanted,
        clock: &Clock,
    ) -> Self {
        let endpoint = |route: RouteSettings| {
            let path = route.path.clone();
            (
                path,
                Arc::new(Endpoint::new(route, upstream, wanted, clock)),
            )
        };
        Self(routes.into_iter().map(endpoint).collect())
    }

    /// The route of exactly this path.
    pub fn find(&self, path: &str) -> Option<&Arc<Endpoint>> {
        self.0.get(path)
    }

    /// Their paths.
    pub fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.values().map(|endpoint| &endpoint.path)
    }

    /// Signs with these for requests that start from now on.
    pub fn sign_with(&self, credentials: &Credentials) {
        let endpoints = self.0.values();
        endpoints.for_each(|endpoint| endpoint.template.sign_with(credentials));
    }

    /// Lets the limits forget callers that have rested.
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
        wanted: &Wanted,
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
            body: match wanted.video_digest {
                true => BodyRules::new(&settings, wanted.bound).hashing_video(),
                false => BodyRules::new(&settings, wanted.bound),
            },
            answer: answer_rules(&settings, expected, wanted),
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
    wanted: &Wanted,
) -> ResponseRules {
    let mut rules = ResponseRules::new(&settings.remove, settings.max_string, expected);
    if wanted.bound {
        rules = rules.sealed();
    }
    if settings.kind != RouteKind::Verify {
        return rules;
    }
    if let Some(threshold) = wanted.threshold {
        rules = rules.judged(threshold.name());
    }
    if let Some(memory) = &wanted.whole {
        rules = rules.held_whole(memory);
    }
    if settings.scores_hidden {
        rules = rules.without_scores();
    }
    rules
}
