//! No request fails over many reloads, however long it takes and over whichever connection it
//! comes, and no reload leaves anything behind.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use liveness_gateway::emulator::Scenario;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};

use super::{Reloaded, configuration};
use crate::support::{
    SESSIONCODE, VERDICT, VERIFY, bearer, emulator,
    identity::{Provider, Signer},
    own_process, raw, routes, sealed, session, verify_body, video,
};

fn sections() -> String {
    format!("{}{}", sealed::SETTINGS, routes())
}

/// Requests without a pause over one connection, each of which must succeed. Returns their number.
fn requests(address: SocketAddr, http2: bool, stop: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let request = |user: &str| {
            let request = match http2 {
                true => Request::post(format!("http://{address}{SESSIONCODE}")),
                false => Request::post(SESSIONCODE).header("host", "g"),
            };
            let request = request
                .header("authorization", bearer(user))
                .header("content-type", "application/json");
            request.body(Full::new(Bytes::from("{}"))).unwrap()
        };
        let mut count = 0;
        if http2 {
            let connected = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
            let (mut sender, connection) = connected.await.unwrap();
            tokio::spawn(connection);
            while !stop.load(Ordering::SeqCst) {
                let response = sender.send_request(request("two")).await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap();
                count += 1;
            }
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            while !stop.load(Ordering::SeqCst) {
                let response = sender.send_request(request("one")).await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap();
                count += 1;
            }
        }
        count
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_over_many_reloads_and_a_long_upload_keeps_what_it_began_with() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let mut file = Reloaded::start(configuration(qiniu, &sections())).await;
    let address = file.gateway.address;
    let body = verify_body(&session(&file.gateway).await, &video(0));
    let framing = format!("Content-Length: {}\r\nConnection: close", body.len());
    let mut upload = raw::begin(address, &raw::head("user-1", VERIFY, &framing)).await;
    let stop = Arc::<AtomicBool>::default();
    let traffic = [false, true].map(|http2| requests(address, http2, &stop));
    let changes = [
        ("max_connections = 300", "max_connections = 299"),
        ("timeout = \"20s\"", "timeout = \"21s\""),
        ("max_connections = 50", "max_connections = 5"),
        ("rate = \"1000/s\"", "rate = \"2000/s\""),
        ("env = \"SEAL\"", "env = \"OTHER_SEAL\""),
        ("quota = \"\"", "quota = \"1000/day\""),
    ];
    let there = changes.iter();
    let back = changes.iter().rev().map(|(from, to)| (to, from));
    let all: Vec<_> = there.map(|(from, to)| (from, to)).chain(back).collect();
    let mut pieces = body.as_bytes().chunks(body.len() / (2 * all.len()) + 1);
    for (from, to) in all.iter().chain(&all) {
        if let Some(piece) = pieces.next() {
            upload.write_all(piece).await.unwrap();
        }
        file.change(from, to).await;
    }
    assert!(pieces.next().is_none());
    let answer = raw::rest(upload).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\"action_verify\":\"pass\""), "{answer}");
    assert_eq!(handle.verify_calls(), 1);
    stop.store(true, Ordering::SeqCst);
    for requests in traffic {
        assert!(requests.await.unwrap() > 10);
    }
    assert_eq!(file.outcomes().await, (24, 0));
}

/// What a process holds: tasks, descriptors, and memory in KiB.
fn held() -> (usize, usize, u64) {
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = memory.unwrap().trim().trim_end_matches(" kB");
    (tasks, descriptors, memory.parse().unwrap())
}

#[tokio::test]
async fn two_hundred_reloads_leave_no_task_no_descriptor_and_no_memory() {
    if !own_process::is_here(
        "reload::traffic::two_hundred_reloads_leave_no_task_no_descriptor_and_no_memory",
    ) {
        return;
    }
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let key = Signer::new("a");
    let provider = Provider::start(vec![key.jwk()]).await;
    let identity = provider.identity("ca_file = \"ca.pem\"\nmax_stale = \"24h\"");
    let backend = "[evidence]\nurl = \"http://127.0.0.1:9/\"\nca_file = \"ca.pem\"\n\
                   secret = { env = \"WEBHOOK\" }\n";
    let sections = format!("{identity}{VERDICT}{backend}{}", sections());
    let text = configuration(qiniu, &sections);
    let mut file = Reloaded::start(text).await;
    let [here, there] = ["127.0.0.1", "localhost"].map(|host| format!("//{host}:{}", qiniu.port()));
    let changes = [
        ("max_connections = 300", "max_connections = 299"),
        // Fetched by another task.
        ("max_stale = \"24h\"", "max_stale = \"23h\""),
        // Other connections to Qiniu.
        (&here, &there),
        ("quota = \"\"", "quota = \"5/day\""),
    ];
    let token = key.token(&provider, "user-1");
    let mut before = None;
    for round in 0..26 {
        for (from, to) in changes.iter().chain(&changes.map(|(from, to)| (to, from))) {
            file.change(from, to).await;
        }
        assert_eq!(file.gateway.ask(&token).await.status, 200);
        if round == 2 {
            before = Some(held());
        }
    }
    let (before, after) = (before.unwrap(), held());
    assert!(after.0 <= before.0 + 2, "tasks: {before:?}, {after:?}");
    assert!(
        after.1 <= before.1 + 2,
        "descriptors: {before:?}, {after:?}"
    );
    assert!(
        after.2 < before.2 + 8 * 1024,
        "memory: {before:?}, {after:?}"
    );
}
