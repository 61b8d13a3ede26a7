//! A `verify` goes over a connection that Qiniu can't be about to close as idle, opened before the
//! end of the upload where that can be foreseen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, VERIFY, bearer, crowd, routes,
    sealed::{self, fresh},
    upstream::{self, Does, Upstream, answer},
    verify_body, video,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const PASS: &str = r#"{"error_code":0,"result":{"score":0.9,"action_verify":"pass"}}"#;
const SESSION: &str = r#"{"error_code":0,"result":{"session_id":"S1","code":"0"}}"#;
/// Longer than any connection may be called fresh.
const A_SECOND: Duration = Duration::from_millis(1001);

/// Sends a hundred uploads at once, of sessions of these numbers. Returns the statuses of those
/// that are doomed, and of the others.
async fn hundred(gateway: &Arc<Gateway>, qiniu: &Upstream, first: usize) -> (Vec<u16>, Vec<u16>) {
    let mut tries = JoinSet::new();
    for number in first..first + 100 {
        let doomed = number % 50 == 7;
        let id = if doomed { "doomed" } else { "S" };
        let session = fresh(qiniu.address, &format!("{id}{number}"));
        let body = verify_body(&session, &video(0));
        let gateway = Arc::clone(gateway);
        tries.spawn(async move {
            let answer = gateway.post(number.is_multiple_of(2), VERIFY, body).await;
            (doomed, answer.status.as_u16())
        });
    }
    let answers = tries.join_all().await;
    let (doomed, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(doomed, _)| *doomed);
    let statuses = |answers: Vec<(bool, u16)>| answers.iter().map(|(_, status)| *status).collect();
    (statuses(doomed), statuses(others))
}

#[tokio::test]
async fn of_400_uploads_none_meets_a_connection_that_closes_as_idle() {
    let _alone = crowd::alone().await;
    // The worst moment for it to close an idle connection is when a request arrives.
    let time = Arc::new(AtomicUsize::new(0));
    let does = Does::Expires(Arc::clone(&time), "doomed", answer("200 OK", PASS));
    let qiniu = upstream::start(does).await;
    let sections = sealed::SETTINGS.to_owned() + &routes();
    let gateway = Arc::new(Gateway::start(qiniu.address, "", &sections).await);
    for first in [0, 100, 200, 300] {
        if first == 200 {
            tokio::time::sleep(A_SECOND).await;
            time.store(1, Ordering::SeqCst);
        }
        let (doomed, others) = hundred(&gateway, &qiniu, first).await;
        // One that is closed on in the middle of its call costs that call alone.
        assert_eq!(doomed, [502; 2]);
        assert_eq!(others, [200; 98]);
    }
    // Each was sent, and none twice.
    assert_eq!(qiniu.requests(), 400);
}

#[tokio::test]
async fn a_connection_that_is_fresh_is_used_again_and_an_older_one_by_what_may_be_resent() {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", SESSION))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let upload = verify_body("S", &video(0));
    // Within a moment, unless this machine is very busy.
    let mut reused = false;
    for _ in 0..20 {
        let before = qiniu.connections();
        gateway.post(false, VERIFY, upload.clone()).await;
        gateway.post(false, VERIFY, upload.clone()).await;
        reused |= qiniu.connections() < before + 2;
    }
    assert!(reused);
    tokio::time::sleep(A_SECOND).await;
    let before = qiniu.connections();
    assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    assert_eq!(qiniu.connections(), before);
}

/// The heads of an upload of `body`, as JSON or as a raw video.
fn request(json: bool, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let form = match json {
        true => "Content-Type: application/json",
        false => "Content-Type: video/mp4\r\nLiveness-Session: S",
    };
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\n{form}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n",
        bearer("user-1")
    );
    [head.as_bytes(), body].concat()
}

/// A connection on which all but the last thousand bytes have been sent, and these.
async fn nearly_all(gateway: &Gateway, request: &[u8]) -> (TcpStream, Vec<u8>) {
    let (most, rest) = request.split_at(request.len() - 1000);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(most).await.unwrap();
    (stream, rest.to_vec())
}

/// Sends the rest, and reads the status.
async fn finish(mut stream: TcpStream, rest: &[u8]) -> String {
    stream.write_all(rest).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_connection_is_opened_before_the_end_of_the_upload() {
    let video = video(300_000);
    for (json, body) in [
        (true, verify_body("S", &video).into_bytes()),
        (false, video.clone()),
    ] {
        let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
        let gateway = Gateway::unbound(qiniu.address).await;
        let (stream, rest) = nearly_all(&gateway, &request(json, &body)).await;
        qiniu.until_connections(1).await;
        assert_eq!(qiniu.requests(), 0);
        assert_eq!(finish(stream, &rest).await, "HTTP/1.1 200 OK");
        assert_eq!(qiniu.requests(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_an_upload_did_not_need_serves_another_request() {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", SESSION))).await;
    let one = format!(
        "endpoint = \"http://{}\"\nmax_connections = 1",
        qiniu.address
    );
    let sections = UNBOUND.to_owned() + &routes();
    let gateway = Gateway::start_at(&one, "", &sections).await;
    let upload = request(true, verify_body("S", &video(300_000)).as_bytes());
    let (stream, _) = nearly_all(&gateway, &upload).await;
    qiniu.until_connections(1).await;
    drop(stream);
    gateway.record(VERIFY).await;
    assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    assert_eq!(qiniu.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_died_before_the_call_is_replaced() {
    let qiniu = upstream::start(Does::FirstDies(answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let upload = request(true, verify_body("S", &video(300_000)).as_bytes());
    let (stream, rest) = nearly_all(&gateway, &upload).await;
    qiniu.until_connections(1).await;
    assert_eq!(finish(stream, &rest).await, "HTTP/1.1 200 OK");
    assert_eq!((qiniu.connections(), qiniu.requests()), (2, 1));
}

#[tokio::test]
async fn uploads_that_never_end_hold_no_connection() {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", SESSION))).await;
    let two = format!(
        "endpoint = \"http://{}\"\nmax_connections = 2",
        qiniu.address
    );
    let sections = UNBOUND.to_owned() + &routes();
    let gateway = Gateway::start_at(&two, "", &sections).await;
    let upload = request(true, verify_body("S", &video(300_000)).as_bytes());
    let mut stalled = Vec::new();
    for _ in 0..8 {
        stalled.push(nearly_all(&gateway, &upload).await);
    }
    qiniu.until_connections(2).await;
    for http2 in [false, true] {
        assert_eq!(gateway.post(http2, SESSIONCODE, "{}").await.status, 200);
    }
    let (stream, rest) = stalled.pop().unwrap();
    assert_eq!(finish(stream, &rest).await, "HTTP/1.1 200 OK");
}
