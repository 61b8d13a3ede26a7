//! The routes, each made ready: path in, everything that its requests need out.

use std::{collections::HashMap, sync::Arc};

use super::{RouteKind, RouteSettings};
use crate::{
    body::BodyRules,
    limit::{concurrency::Concurrency, rate::RateLimit},
    qiniu::{
        UpstreamSettings,
        answer::{AnswerRules, Expected},
        outgoing::Template,
    },
};

/// A route, ready to serve.
pub struct Endpoint {
    /// For metrics and records.
    pub path: Arc<str>,
    /// What the operator decided.
    pub settings: RouteSettings,
    /// What its requests to Qiniu have in common.
    pub template: Template,
    /// What a body must be.
    pub body: BodyRules,
    /// What is done to an answer.
    pub answer: AnswerRules,
    /// How often a caller may call.
    pub rate: Option<RateLimit>,
    /// How many calls of a caller may be under way.
    pub concurrency: Option<Arc<Concurrency>>,
}

/// All routes.
pub struct Endpoints(HashMap<String, Arc<Endpoint>>);

impl Endpoints {
    /// Makes the routes ready; with `bind`, session ids are opened and sealed on the way.
    pub fn new(routes: Vec<RouteSettings>, upstream: &UpstreamSettings, bind: bool) -> Self {
        Self(
            routes
                .into_iter()
                .map(|route| {
                    let endpoint = Endpoint::new(route, upstream, bind);
                    (endpoint.settings.path.clone(), Arc::new(endpoint))
                })
                .collect(),
        )
    }

    /// The route of exactly this path.
    pub fn find(&self, path: &str) -> Option<&Arc<Endpoint>> {
        self.0.get(path)
    }

    /// Lets the limits forget callers that have rested.
    pub fn sweep(&self) {
        self.0
            .values()
            .filter_map(|endpoint| endpoint.rate.as_ref())
            .for_each(RateLimit::sweep);
    }
}

impl Endpoint {
    fn new(settings: RouteSettings, upstream: &UpstreamSettings, bind: bool) -> Self {
        let expected = match settings.kind {
            RouteKind::Session => Expected::Session,
            RouteKind::Verify => Expected::Envelope,
            RouteKind::Plain => Expected::Object,
        };
        let answer = AnswerRules::new(&settings.remove, settings.max_string, expected);
        Self {
            path: settings.path.as_str().into(),
            template: Template::new(upstream, &settings.path),
            body: BodyRules::new(&settings, bind),
            answer: if bind { answer.sealed() } else { answer },
            rate: settings
                .rate
                .and_then(|rate| RateLimit::new(rate, settings.burst)),
            concurrency: settings.concurrent_per_user.map(Concurrency::new),
            settings,
        }
    }
}
