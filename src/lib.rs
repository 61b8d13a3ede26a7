//! liveness-gateway stands between untrusted frontends and Qiniu's action-liveness API.
//!
//! The journey of a request, step by step, with the module of each step:
//!
//! 1. Accept a connection, shake hands by TLS, read HTTP/1.1 or HTTP/2: [`server`].
//! 2. Start the access record, under a request id: [`relay::handle`], [`relay::access_record`].
//! 3. Admit the request by its head, in [`relay::admit`]: find the route
//!    ([`relay::endpoint`]), verify the bearer token ([`auth`]), apply the limits ([`limit`]).
//! 4. Upload, in [`relay::upload`]: receive the body ([`body`]) within the memory for bodies
//!    ([`memory`]). Each chunk is checked ([`json`], [`media`]), cut to the allowed members
//!    and signed ([`qiniu::signature`]) as it arrives, and the session id is opened
//!    ([`session`]). Then the session is claimed for this one body ([`verify_once`]).
//! 5. Forward, in [`relay::forward`]: acquire the permits of the call, send the signed request
//!    over a pooled connection ([`qiniu::pool`], [`outbound`]), and cut the response as it
//!    arrives ([`qiniu::response`]).
//! 6. Finalize the response, in [`relay::finalize`]: judge it and sign the verdict
//!    ([`verdict`]), deliver evidence to the app's backend ([`evidence`]).
//! 7. Record a `verify` in the audit log, if there is one ([`audit`]). Respond, in
//!    [`relay::respond`]; write the access record and the metrics ([`telemetry`]).
//!
//! [`relay::handle`] is this list as code. With several replicas, [`store`] holds what they
//! share in steps 3 to 5.
//!
//! [`config`] validates the configuration, [`startup`] builds the gateway from it, and
//! [`rotation`] reloads values whose files change. [`emulator`] and [`sandbox`] let anybody try
//! the gateway without a Qiniu account.

pub mod audit;
pub mod auth;
pub mod body;
pub mod certificate_end;
pub mod cli;
pub mod closed_set;
pub mod commands;
pub mod config;
pub mod core_dumps;
pub mod descriptors;
pub mod emulator;
pub mod evidence;
pub mod form_data;
mod future_pool;
pub mod generate;
pub mod handover;
pub mod instruments;
pub mod json;
pub mod lifecycle;
pub mod limit;
pub mod media;
pub mod memory;
pub mod outbound;
pub mod parameters;
mod places;
pub mod qiniu;
pub mod relay;
pub mod rotation;
pub mod route;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod service_manager;
pub mod session;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod traces;
pub mod verdict;
pub mod verify_once;
pub mod wipe;
