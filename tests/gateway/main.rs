//! The tests from outside: whole gateways over real sockets, an emulated Qiniu behind them, one
//! file a promise.
//!
//! All files are one program, so the helpers in [`support`] are compiled and linked once, and all
//! tests run at the same time. Each test starts what it needs on free ports, in files of its own,
//! and needs no other test before it. The process is shared: a test may neither change its
//! environment, signals or current directory, nor install a log of its own. One that must do so
//! runs in a process of its own, by [`support::own_process`]. One that opens hundreds of
//! connections waits for the others that do, by [`support::crowd`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at once where something is not as it expects, and the lints do not see that helpers are tests"
)]

// What the tests share: a gateway, its peers (an upstream, a backend, an identity provider, a
// Redis), and ways to talk to them.
mod support;

// --- The whole journey ---

// A real video passes, and each side sees only what is meant for it.
mod journey;

// A video may be sent as JSON or as it is; it is inspected, and rejected where the operator wants
// that.
mod video;

// The forms that clients send are received like the other bodies, and are the same uploads.
mod forms;

// Nothing secret or personal appears in the log, in errors, in metrics or in responses, and nothing
// of a request stays in the memory of the process, of which a crash leaves no image.
mod markers;

// --- What the gateway rejects ---

// Wrong heads, tokens and bodies have their status, code and headers, over HTTP/1.1 and HTTP/2.
mod refusals;

// A client can read the response to an upload that is refused halfway, and the connection does not
// stay open.
mod refused_uploads;

// A body is taken however its media type is written, and refused only for what speaks against it.
mod media_types;

// What two HTTP/1.1 parsers could read in two ways is refused, and nothing behind it is a request.
mod strict;

// HTTP/2, written frame by frame: floods end the connection and nobody else's, and what a head may
// not say never goes upstream.
mod http2;

// Browsers: pages of the configured origins may call the gateway, and can read its errors.
mod browsers;

// --- Who calls ---

// An identity provider's keys are found by discovery, and kept while the provider is down.
mod identity;

// Good keys are used however their set is written, and a bad one costs nothing but itself. Issuers
// that publish one set share nothing else.
mod identity_lenient;

// A provider that misbehaves harms nobody but its own users, and nothing that it sends is repeated.
mod identity_misbehaving;

// Tokens and key sets as well-known providers make them are accepted with the documented
// configurations, and what only looks like them is not.
mod identity_providers;

// A provider written by others (the npm package oidc-provider) works with the gateway.
mod identity_real;

// The first token of a new key is accepted, and unknown key ids cannot make the gateway fetch again
// and again.
mod identity_unknown;

// --- How much a caller may use ---

// Rate and concurrency are limited for each user.
mod limits;

// Requests are limited for each client's address, and no client can choose its own.
mod addresses;

// A connection of a load balancer is its client's, and only a trusted one can say whose.
mod proxy_protocol;

// A quota counts the calls that reached Qiniu and nothing else, and nobody exceeds it.
mod quota;

// The memory for bodies is returned however a request ends, and no request waits for it.
mod memory;

// No user and no slow upload keeps others out of the memory for bodies.
mod shares;

// A half-sent upload takes hardly more of the process's memory than its bytes.
mod footprint;

// A connection that waits for its next request takes hardly any memory.
mod waiting;

// --- Sessions and retries ---

// A session id works for its own user, for five minutes, and only there.
mod sessions;

// However often an upload is sent, Qiniu is called once, and each try gets the same response.
mod retries;

// A retry belongs to its user, not to one token of the user.
mod refreshed_tokens;

// --- Qiniu's response, and what is made of it ---

// Whatever Qiniu sends, the caller gets the right response, and nothing of what was wrong.
mod upstream;

// What the operator names of a response reaches the frontend, and nothing that Qiniu adds.
mod answers;

// Qiniu never gets a video over a connection that it is about to close.
mod upstream_fresh;

// However a connection to Qiniu breaks, the caller is told right, nothing is sent twice, and all is
// given back.
mod upstream_faults;

// Metrics stand at 0 from the start, and tell billed calls from replayed answers.
mod metrics;

// An access record says why a request was refused, whose token it was, and what came of it.
mod records;

// A call whose caller has gone leaves its facts in the access record all the same.
mod upstream_records;

// Only certificates of the system's or of the operator's authority are trusted.
mod upstream_tls;

// Connections outwards pass dead addresses and go through a proxy; whatever a proxy does, a call
// gets the right error and is never sent twice.
mod outbound;

// A verdict says what Qiniu said, about this user, and nothing better.
mod verdict;

// A verdict is tied to one transaction, by a nonce and by claims of the user's token.
mod transaction;

// The pictures reach the app's backend before the frontend has its response, and nobody else.
mod evidence;

// A slow backend delays the caller and the stop only as long as agreed.
mod slow_evidence;

// Each verify that reached Qiniu is in the audit log, and nothing is done to that log unseen.
mod audit;

// --- Several replicas ---

// Replicas share limits and sessions through a real Redis or Valkey, in every state that the store
// can be in.
#[cfg(feature = "redis")]
mod store;

// --- Running it ---

// The listeners: protocols, timeouts, connection limits, TLS, the graceful stop, the admin side.
mod connections;

// The limit of file descriptors is raised and kept, and a lack of them is survived.
mod descriptors;

// A stop never outlasts its time, whatever is under way.
mod stops;

// What goes wrong is named by the log or a metric, with a suggested fix.
mod troubleshooting;

// A recorded request has a span for each of its parts, and strangers have no say in that.
mod traces;

// A restart or an upgrade refuses no connection and loses no request, and the service manager is
// told.
mod restarts;

// Keys and certificates in files are replaced while the gateway runs, and no request fails.
mod rotation;

// A changed configuration is in use soon and as a whole, or not at all; no request fails because of
// it, and nothing that was counted is forgotten.
mod reload;

// The commands: exit codes, what they print, and what they never print.
mod cli;

// A good configuration is summed up, and what is odd about it is warned of.
mod check;

// The manual page has every command, and its formatter finds no fault.
mod manual;

// --- The tools around it ---

// The emulator behaves as Qiniu's API does, for any client.
mod emulator;

// The sandbox: its page, its outcomes, its backend, and how a phone reaches it.
mod sandbox;

// The emulator and the sandbox start where their user says, and work with a configuration of one's
// own.
mod emulator_command;

// The arithmetic of the benchmark in `benches/compare` is right.
mod comparison;

// The attacks of the benchmark in `benches/siege` are real, and its judgements are right.
mod siege;
