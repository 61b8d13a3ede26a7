//! Pings of the gateway: a peer that is gone gives its connection back, also one that waits for a
//! response.

use std::time::Duration;

use super::fields;
use crate::{
    connections::peer::{self, settings},
    support::{frames, soon},
};
use frames::{FrameClient, PING};

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_disconnected_and_one_that_does_is_not() {
    let mut pinging = settings();
    pinging.http2_ping = Duration::from_millis(250);
    // No other time limit passes in this test.
    pinging.head_timeout = Duration::from_secs(600);
    pinging.idle_timeout = Duration::from_secs(600);
    let running = peer::start(pinging).await;
    let waiting = frames::headers(1, true, &fields("/wait"));
    let mut alive = FrameClient::connect(running.public).await.unwrap();
    let mut dead = FrameClient::connect(running.public).await.unwrap();
    for client in [&mut alive, &mut dead] {
        client.send(&frames::settings_ack()).await.unwrap();
        client.send(&waiting).await.unwrap();
        soon(running.gate.arrived.notified()).await;
    }
    let mut pings = 0;
    let answering = async {
        loop {
            let ping = alive.until(PING, 0).await.expect("it stays open");
            let answer = frames::frame(PING, frames::ACK, 0, &ping.payload);
            alive.send(&answer).await.unwrap();
            pings += 1;
        }
    };
    let dying = async {
        while dead.next().await.is_some() {}
        // The request of the dead peer goes with it.
        running.until_connections_are(1).await;
        running.gate.release.notify_one();
    };
    tokio::select! {
        () = soon(dying) => {}
        () = answering => {}
    }
    assert!(pings > 0, "a peer that answers is asked as well");
    assert_eq!(soon(alive.response(1)).await, Some(Ok(200)));
}
