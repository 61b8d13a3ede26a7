//! Requests written byte by byte, where an HTTP library would not send them, or not yet.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::bearer;

/// The head of a `POST` of JSON with a valid token of `user`, ending with these lines.
pub(crate) fn head(user: &str, path: &str, lines: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\nContent-Type: application/json\r\n{lines}\r\n\r\n",
        bearer(user)
    )
}

/// The same with a complete body.
pub(crate) fn whole(user: &str, path: &str, body: &str) -> String {
    head(user, path, &format!("Content-Length: {}", body.len())) + body
}

/// A connection on which this text has been sent.
pub(crate) async fn begin(gateway: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until this text has arrived.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

/// Everything until the connection is closed.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Sends the text and returns everything until the connection is closed.
pub(crate) async fn ask(gateway: SocketAddr, text: &str) -> String {
    rest(begin(gateway, text).await).await
}
