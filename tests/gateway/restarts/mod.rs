//! Restarts and upgrades, with real processes: no connection is refused and no request fails, and
//! the service manager is told what happens.

mod activation;
mod load;
mod replaced;
mod service;
mod taking_over;

use std::net::SocketAddr;

use crate::support::upstream::{self, Upstream};

/// An upstream that takes every request.
async fn upstream() -> Upstream {
    let answer = upstream::answer("200 OK", load::ANSWER);
    upstream::start(upstream::Does::AnswerAndStay(answer)).await
}

/// `server.listen` and times of a stop that no test waits for.
fn server(listen: SocketAddr) -> String {
    format!("listen = \"{listen}\"")
}
