//! The client of these tests itself: it gets responses, and reads resets and GOAWAY frames.

use crate::support::{Gateway, SESSIONCODE, bearer, emulator, frames};
use frames::FrameClient;
use liveness_gateway::emulator::Scenario;

#[tokio::test]
async fn requests_written_by_hand_get_their_responses() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let mut client = FrameClient::connect(gateway.address).await.unwrap();
    let token = bearer("user-1");
    for (stream, path, status) in [
        (1, SESSIONCODE, 200),
        (3, "/other", 404),
        (5, SESSIONCODE, 200),
    ] {
        let head = frames::headers(
            stream,
            false,
            &[
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "gateway"),
                (":path", path),
                ("authorization", &token),
                ("content-type", "application/json"),
            ],
        );
        client.send(&head).await.unwrap();
        client
            .send(&frames::data(stream, true, b"{}"))
            .await
            .unwrap();
        assert_eq!(client.response(stream).await, Some(Ok(status)), "{path}");
    }
    // Without a `:method`, the stream is reset.
    let head = frames::headers(7, true, &[(":path", "/"), (":scheme", "http")]);
    client.send(&head).await.unwrap();
    let reset = Some(Err(frames::PROTOCOL_ERROR));
    assert_eq!(client.response(7).await, reset);
    // A stream of the server's side ends the connection.
    client.send(&frames::headers(8, true, &[])).await.unwrap();
    assert_eq!(client.goaway().await, Some(frames::PROTOCOL_ERROR));
}
