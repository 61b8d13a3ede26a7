//! The site of the sandbox: its files, and what its page asks of it.
//!
//! Serves only names that no stranger can point at this machine by DNS, and takes changes only from
//! its own pages, or from programs that are no browser. Allows no other origin to read anything.
//! Never asks for a token: whoever reaches the sandbox gets one.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use hyper::{
    Method, Response,
    header::{
        CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN,
        REFERRER_POLICY,
    },
    http::{request::Parts, uri::Authority},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    deliveries::{Deliveries, DeliverySummary},
    files::{self, SiteFile},
    tokens::SandboxTokens,
};
use crate::{
    emulator::{EmulatorHandle, Scenario},
    relay::{
        head_fault::{HeadFault, MediaFault},
        refusal::Refusal,
        site::Site,
    },
};

const EVIDENCE: &str = "/sandbox/evidence/";
const JSON: &str = "application/json";
/// Nothing from elsewhere, and no script or style in the page itself.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
const PERMISSIONS: HeaderValue =
    HeaderValue::from_static("camera=(self), microphone=(), geolocation=()");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the site needs.
pub(super) struct SandboxSite {
    pub(super) tokens: SandboxTokens,
    pub(super) emulator: Arc<EmulatorHandle>,
    pub(super) deliveries: Arc<Deliveries>,
}

/// The state that the page shows.
#[derive(Serialize)]
struct SandboxState {
    /// No face was looked at.
    emulated: bool,
    outcome: String,
    session_calls: u64,
    verify_calls: u64,
    billed_calls: u64,
    rejected_deliveries: u64,
    deliveries: Vec<DeliverySummary>,
}

#[derive(Deserialize)]
struct OutcomeRequest {
    outcome: String,
}

impl SandboxSite {
    /// The site for the gateway.
    pub(super) fn into_site(self) -> Site {
        Arc::new(move |parts, body| self.respond(parts, body))
    }

    fn respond(&self, parts: &Parts, body: &[u8]) -> Result<Response<Bytes>, Refusal> {
        let host = host(parts).ok_or(Refusal::Host(
            "the sandbox is served under an address, `localhost` or a name without dots",
        ))?;
        let path = parts.uri.path();
        if let Some(file) = files::find(path) {
            require(parts, &Method::GET, "GET")?;
            return Ok(serve(file));
        }
        match path {
            "/sandbox/state" => {
                require(parts, &Method::GET, "GET")?;
                document(&self.state())
            }
            "/sandbox/token" => {
                require(parts, &Method::POST, "POST")?;
                require_same_origin(parts, &host)?;
                let token = self.tokens.for_page().map_err(|_| Refusal::Internal)?;
                document(&json!({ "token": token }))
            }
            "/sandbox/outcome" => {
                require(parts, &Method::POST, "POST")?;
                require_same_origin(parts, &host)?;
                require_json(parts)?;
                self.set_outcome(body)
            }
            _ => {
                let id = path.strip_prefix(EVIDENCE).ok_or(Refusal::UnknownRoute)?;
                require(parts, &Method::GET, "GET")?;
                let evidence = self.deliveries.evidence(id);
                document(&evidence.ok_or(Refusal::UnknownRoute)?)
            }
        }
    }

    fn state(&self) -> SandboxState {
        let emulator = &self.emulator;
        let (rejected_deliveries, deliveries) = self.deliveries.summaries();
        SandboxState {
            emulated: true,
            outcome: emulator.scenario().to_string(),
            session_calls: emulator.session_calls(),
            verify_calls: emulator.verify_calls(),
            billed_calls: emulator.billed_calls(),
            rejected_deliveries,
            deliveries,
        }
    }

    fn set_outcome(&self, body: &[u8]) -> Result<Response<Bytes>, Refusal> {
        let malformed =
            |error: &dyn std::error::Error| Refusal::from(HeadFault::Site(error.to_string()));
        let request: OutcomeRequest =
            serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        let scenario: Scenario = request.outcome.parse().map_err(|error| malformed(&error))?;
        self.emulator.set_scenario(scenario);
        document(&json!({ "outcome": scenario.to_string() }))
    }
}

fn serve(file: &SiteFile) -> Response<Bytes> {
    response(file.content_type, Bytes::from_static(file.content))
}

fn document(content: &impl Serialize) -> Result<Response<Bytes>, Refusal> {
    let json = serde_json::to_vec(content).map_err(|_| Refusal::Internal)?;
    Ok(response(JSON, json.into()))
}

fn response(content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(PERMISSIONS_POLICY, PERMISSIONS);
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn require(parts: &Parts, method: &Method, name: &'static str) -> Result<(), Refusal> {
    match parts.method == *method {
        true => Ok(()),
        false => Err(Refusal::Method(name)),
    }
}

/// The host of a request, if no DNS server can have pointed its name at this machine: an address,
/// `localhost`, or a name without dots, such as that of a container. The name of a foreign page
/// whose address became this machine's ("DNS rebinding") has a dot.
fn host(parts: &Parts) -> Option<Authority> {
    let host = match parts.uri.authority() {
        Some(authority) => authority.clone(),
        None => parts.headers.get(HOST)?.as_bytes().try_into().ok()?,
    };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let local = name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || name.to_ascii_lowercase().ends_with(".localhost");
    local.then_some(host)
}

/// Refuses what a page of another origin makes a browser send. Programs that are no browser send
/// neither of the two fields.
fn require_same_origin(parts: &Parts, host: &Authority) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let same_origin = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let rest = origin.split_once("://").map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str()))
    };
    let from_here = match headers.get(ORIGIN) {
        Some(origin) => same_origin(origin),
        None => headers
            .get(FETCH_SITE)
            .is_none_or(|site| site == "same-origin"),
    };
    match from_here {
        true => Ok(()),
        false => {
            let why = "only the sandbox's own page may ask for this";
            Err(HeadFault::Site(why.to_owned()).into())
        }
    }
}

/// A browser sends this type for a page of another origin only after a preflight, which is refused.
fn require_json(parts: &Parts) -> Result<(), Refusal> {
    let content_type = parts.headers.get(CONTENT_TYPE);
    let text = content_type.and_then(|value| value.to_str().ok());
    let essence = text.and_then(|text| text.split(';').next());
    match essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON)) {
        true => Ok(()),
        false => Err(MediaFault::NotJson.into()),
    }
}
