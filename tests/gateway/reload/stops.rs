//! A stop goes by the configuration of its moment, however new that is.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{FILE, Reloaded, configuration};
use crate::support::{
    SESSIONCODE, UNBOUND, raw, routes, soon,
    upstream::{self, answer},
};

const DRAIN: &str = "head_timeout = \"10min\"\ndrain_timeout = \"1h\"";

/// A gateway with a call under way, which ends when a permit is added.
async fn busy(
    drain: &str,
) -> (
    upstream::Upstream,
    Reloaded,
    tokio::net::TcpStream,
    Arc<Semaphore>,
) {
    let gate = Arc::new(Semaphore::new(0));
    let good = "{\"error_code\":0,\"result\":{\"session_id\":\"S\",\"code\":\"12\"}}";
    let does = upstream::Does::WhenLet(Arc::clone(&gate), answer("200 OK", good));
    let qiniu = upstream::start(does).await;
    let slow = routes().replace("timeout = \"2s\"", "timeout = \"30min\"");
    let text = configuration(qiniu.address, &(UNBOUND.to_owned() + &slow));
    let text = text.replace("head_timeout = \"10min\"", drain);
    let file = Reloaded::start(text).await;
    let request = raw::whole("user-1", SESSIONCODE, "{}");
    let caller = raw::begin(file.gateway.address, &request).await;
    qiniu.until_requests(1).await;
    (qiniu, file, caller, gate)
}

#[tokio::test]
async fn a_stop_right_after_a_reload_waits_as_long_as_the_new_file_says() {
    let (_qiniu, mut file, caller, _gate) = busy(DRAIN).await;
    let short = DRAIN.replace("1h", "50ms");
    file.change(DRAIN, &short).await;
    file.gateway.stop();
    let outcome = soon(&mut file.gateway.ended).await.unwrap();
    assert_eq!((outcome.cut, outcome.lost), (1, 1));
    let answer = raw::rest(caller).await;
    assert!(answer.contains("\"code\":\"shutting_down\""), "{answer}");
}

#[tokio::test]
async fn a_stop_beside_a_reload_lets_requests_finish() {
    let (_qiniu, mut file, caller, gate) = busy(DRAIN).await;
    // Whether this comes into use before the stop, after it or never, makes no difference.
    file.folder.write(FILE, &file.text.replace("1h", "2h"));
    file.gateway.stop();
    gate.add_permits(1);
    let answer = raw::rest(caller).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!((&mut file.gateway.ended).await.unwrap().lost, 0);
}
