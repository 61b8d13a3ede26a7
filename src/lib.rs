//! liveness-gateway stands between untrusted frontends and Qiniu's action-liveness API.
//!
//! The journey of a request, in the order in which it happens, with the module that owns each step:
//!
//! 1. a connection is accepted, TLS is shaken, HTTP/1.1 or HTTP/2 is read: [`server`]
//! 2. the request gets its id and its record: [`relay::handle`], [`relay::record`]
//! 3. its path says what to do: [`relay::endpoint`]
//! 4. a browser learns whether its page may ask: [`relay::cors`]
//! 5. its bearer token says who is calling: [`auth`]
//! 6. the caller's limits are charged: [`limit`]
//! 7. room is reserved and the body received: checked, cut to the allowed fields and signed as it arrives: [`body`],
//!    with [`json`], [`media`] and [`qiniu::signature`]; the session is opened on the way: [`session::ticket`]
//! 8. the session is claimed for this one upload, or its answer is there already: [`session::ledger`]
//! 9. one of the caller's calls is reserved, and the signed request goes to Qiniu: [`limit::quota`], [`qiniu::pool`],
//!    [`outbound::exchange`]
//! 10. the answer is cut while it arrives and believed when it is whole: [`qiniu::response`]
//! 11. it is judged, the app's backend gets its pictures, and the verdict is signed: [`relay::conclude`], [`verdict`],
//!     [`evidence`]
//! 12. the caller gets what is left, and one line stays: [`relay::record`], [`telemetry`]
//!
//! Where several replicas run, [`store`] is what they share at steps 6 and 8.
//!
//! [`relay::handle`] is this list as code. [`startup`] puts the parts together from what [`config`] has checked.
//! [`rotation`] makes values anew whose files change. [`emulator`] and [`sandbox`] let anybody try it without a Qiniu account.

pub mod auth;
pub mod body;
pub mod cli;
pub mod commands;
pub mod config;
pub mod emulator;
pub mod evidence;
mod future_pool;
pub mod generate;
pub mod json;
pub mod lifecycle;
pub mod limit;
pub mod media;
pub mod memory;
pub mod outbound;
pub mod qiniu;
pub mod relay;
pub mod rotation;
pub mod route;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod session;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod verdict;
pub mod verify_once;
