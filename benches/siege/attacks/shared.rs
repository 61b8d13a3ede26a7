//! One HTTP/2 connection that attackers and normal users share, as behind a proxy: uploads with
//! forged tokens beside whole verifies.
//!
//! Relies on `h2` as the client, so flow control is as a good proxy does it. Never sends more than
//! the windows allow.

use std::{future::poll_fn, io, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest};
use hyper::{Request, header};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::super::api::{session_id, video};
use super::{
    SESSIONCODE, VERIFY,
    wire::{Protocol, Tally, Target, count},
};

/// Size that a refused upload declares, in bytes.
const DECLARED: usize = 28 * 1024 * 1024;
const VIDEO: usize = 2 * 1024 * 1024;
const PIECE: usize = 64 * 1024;
/// How long a refused upload goes on after its response.
const STUBBORN: Duration = Duration::from_secs(1);
/// A normal user's request that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// The users of one connection.
pub(crate) struct SharedConnection {
    /// Refused uploads at a time.
    pub(crate) refused: usize,
    /// Normal users.
    pub(crate) victims: usize,
}

impl SharedConnection {
    /// Runs to the end of the attack.
    pub(crate) async fn run(&'static self, target: &Target, tally: &Arc<Tally>) {
        let Ok(video) = video(VIDEO).map(Bytes::from) else {
            return;
        };
        while Instant::now() < target.until {
            if self.connection(target, tally, &video).await.is_err() {
                count(&tally.ended, 1);
                sleep(PAUSE).await;
            }
        }
    }

    /// Shares one connection until it or the attack ends.
    async fn connection(
        &self,
        target: &Target,
        tally: &Arc<Tally>,
        video: &Bytes,
    ) -> io::Result<()> {
        let stream = target.connect(0, Protocol::Http2, None).await?;
        let (sender, connection) = h2::client::handshake(stream)
            .await
            .map_err(io::Error::other)?;
        count(&tally.opened, 1);
        // All of them end with this set.
        let mut tasks = JoinSet::new();
        for account in 0..self.refused {
            let (target, tally) = (target.clone(), Arc::clone(tally));
            tasks.spawn(refused_uploads(sender.clone(), target, tally, account));
        }
        for account in 0..self.victims {
            let (target, tally) = (target.clone(), Arc::clone(tally));
            let (sender, video) = (sender.clone(), video.clone());
            tasks.spawn(victim(sender, target, tally, account, video));
        }
        drop(sender);
        tokio::select! {
            ended = connection => ended.map_err(io::Error::other),
            () = tokio::time::sleep_until(target.until) => Ok(()),
        }
    }
}

/// One refused upload after the other.
async fn refused_uploads(
    sender: SendRequest<Bytes>,
    target: Target,
    tally: Arc<Tally>,
    account: usize,
) {
    let forged = format!("{}x", target.token(account));
    let piece = Bytes::from(vec![0; PIECE]);
    loop {
        if refused_upload(&sender, &tally, &forged, &piece)
            .await
            .is_err()
        {
            // The stream was reset, which is all right; or the connection has ended, and so will
            // this task.
            sleep(PAUSE).await;
        }
    }
}

async fn refused_upload(
    sender: &SendRequest<Bytes>,
    tally: &Tally,
    forged: &str,
    piece: &Bytes,
) -> Result<(), h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let head = head(VERIFY, forged, DECLARED, "lg1.attacker");
    let (response, mut upload) = sender.send_request(head, false)?;
    let sending = async {
        while send_piece(&mut upload, piece.clone()).await? {
            count(&tally.bytes, PIECE as u64);
        }
        Ok::<_, h2::Error>(())
    };
    let answered = async {
        let status = response.await?.status().as_u16();
        tally.answered(status, 1);
        sleep(STUBBORN).await;
        Ok::<_, h2::Error>(())
    };
    tokio::select! {
        sent = sending => sent,
        answered = answered => answered,
    }
}

/// One verify after the other; the account is another than the attackers'.
async fn victim(
    sender: SendRequest<Bytes>,
    target: Target,
    tally: Arc<Tally>,
    account: usize,
    video: Bytes,
) {
    // The last accounts: attackers count from the first.
    let account = target.tokens.len().saturating_sub(1 + account);
    let token = target.token(account).to_owned();
    loop {
        let begun = Instant::now();
        let verified = timeout(PATIENCE, verify(&sender, &token, &video)).await;
        match verified {
            Ok(Ok(200)) => tally.victim(Some(begun.elapsed().as_secs_f64())),
            _ => tally.victim(None),
        }
        sleep(PAUSE).await;
    }
}

/// A session and its verify. Returns the last status.
async fn verify(sender: &SendRequest<Bytes>, token: &str, video: &Bytes) -> Result<u16, h2::Error> {
    let mut ready = sender.clone().ready().await?;
    let (response, _) = ready.send_request(head(SESSIONCODE, token, 0, ""), true)?;
    let response = response.await?;
    let status = response.status().as_u16();
    let body = collect(response.into_body()).await?;
    let Some(session) = session_id(&body) else {
        return Ok(if status == 200 { 0 } else { status });
    };
    let mut ready = sender.clone().ready().await?;
    let head = head(VERIFY, token, video.len(), &session);
    let (response, mut upload) = ready.send_request(head, false)?;
    let mut left = video.clone();
    while !left.is_empty() {
        let piece = left.split_to(PIECE.min(left.len()));
        if !send_piece(&mut upload, piece).await? {
            break;
        }
    }
    upload.send_data(Bytes::new(), true)?;
    let response = response.await?;
    let status = response.status().as_u16();
    collect(response.into_body()).await?;
    Ok(status)
}

fn head(path: &str, token: &str, length: usize, session: &str) -> Request<()> {
    let mut request = Request::new(());
    let content = if length == 0 {
        "application/json"
    } else {
        "video/mp4"
    };
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("content-type", content.to_owned()),
        ("content-length", length.to_string()),
        ("liveness-session", session.to_owned()),
    ] {
        if let Ok(value) = header::HeaderValue::try_from(value) {
            request.headers_mut().insert(name, value);
        }
    }
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = format!("https://localhost{path}")
        .parse()
        .unwrap_or_default();
    request
}

/// Sends a piece as the windows allow. Returns false when the stream takes no more.
async fn send_piece(stream: &mut SendStream<Bytes>, mut piece: Bytes) -> Result<bool, h2::Error> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(allowed) => {
                let part = piece.split_to(allowed?.min(piece.len()));
                stream.send_data(part, false)?;
            }
            None => return Ok(false),
        }
    }
    Ok(true)
}

async fn collect(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut whole = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}
