//! HTTP/2 as a peer that writes its frames by hand sees it.
//!
//! Relies on [`frames`](crate::support::frames) for the bytes, and on the real relay behind the
//! listener.

mod basics;
mod dropped;
mod floods;
mod heads;
mod honest;
mod keep_alive;
mod slowness;
mod windows;

use crate::support::{Gateway, bearer, frames};
use frames::FrameClient;
use tokio::net::TcpStream;

/// A request's fields besides `authorization`.
fn fields(path: &str) -> [(&str, &str); 5] {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "gateway"),
        (":path", path),
        ("content-type", "application/json"),
    ]
}

/// The head of a `POST` of JSON with a valid token of `user`.
fn head(stream: u32, user: &str, path: &str) -> Vec<u8> {
    let token = bearer(user);
    let fields = [&fields(path)[..], &[("authorization", &token)]].concat();
    frames::headers(stream, false, &fields)
}

/// A whole request with a valid token of `user`.
fn request(stream: u32, user: &str, path: &str, body: &str) -> Vec<u8> {
    let data = frames::data(stream, true, body.as_bytes());
    [head(stream, user, path), data].concat()
}

/// A head of a stream without a token, which gets a 401 at once.
fn stranger(stream: u32, path: &str) -> Vec<u8> {
    frames::headers(stream, false, &fields(path))
}

async fn client(gateway: &Gateway) -> FrameClient<TcpStream> {
    let mut client = FrameClient::connect(gateway.address).await.unwrap();
    client.send(&frames::settings_ack()).await.unwrap();
    client
}
