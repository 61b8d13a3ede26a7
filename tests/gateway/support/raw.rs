//! Requests written byte by byte, for what an HTTP library would not send, or not yet.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::bearer;

/// The head of a `POST` of JSON with a good token of `user`, and these lines at its end.
pub(crate) fn head(user: &str, path: &str, lines: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\nContent-Type: application/json\r\n{lines}\r\n\r\n",
        bearer(user)
    )
}

/// The same with a body, which is there as a whole.
pub(crate) fn whole(user: &str, path: &str, body: &str) -> String {
    head(user, path, &format!("Content-Length: {}", body.len())) + body
}

/// A connection on which this has been sent.
pub(crate) async fn begin(gateway: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the connection is closed.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What comes back to this, until the connection is closed.
pub(crate) async fn ask(gateway: SocketAddr, text: &str) -> String {
    rest(begin(gateway, text).await).await
}
