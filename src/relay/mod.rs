//! The journey of a request through the gateway.
//!
//! [`handle`] shows it on one screen, and each step has a file: [`admit`] takes the head,
//! [`upload`] the body, [`forward`] calls Qiniu and [`finalize`] its response, [`respond`]
//! writes the response. [`refusal`] lists every reason to reject a request, and [`problem`] is
//! its form on the wire. [`access_record`] is the log line of a request, [`request_id`] its id,
//! [`reason`] its word for why a request was refused (`reason_of`); [`forwarded`] is what trusted
//! proxies say of a request, and [`unread`] bounds what arrives of a body while its request waits.
//! `media_type` reads what a body claims to be, and [`head_fault`] lists what a head does wrong.
//! [`site`] is what a program that embeds the gateway serves beside it.

pub mod access_record;
pub mod admit;
mod audited;
pub mod cors;
pub mod endpoint;
pub mod finalize;
pub mod forward;
pub mod forwarded;
pub mod gateway;
pub mod handle;
pub mod head_fault;
pub mod headers;
pub mod in_flight;
mod media_type;
pub mod problem;
pub mod reason;
mod reason_of;
pub mod refusal;
pub mod request_id;
mod request_spans;
pub mod respond;
pub mod site;
pub mod unread;
pub mod upload;
