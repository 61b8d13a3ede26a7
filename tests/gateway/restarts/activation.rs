//! Sockets from a service manager, and what it is told.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixListener},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    load::Load,
    server,
    service::{Service, listener},
    upstream,
};
use crate::support::{VERIFY, raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_refuse_no_connection_and_lose_no_request() {
    let upstream = upstream().await;
    let (public, address) = listener();
    let (admin, admin_address) = listener();
    let service = Service::new(
        upstream.address,
        &server(address),
        &admin_address.to_string(),
    );
    let sockets = || {
        let copies = [&public, &admin].map(TcpListener::try_clone);
        Some(copies.map(|copy| OwnedFd::from(copy.unwrap())))
    };
    let mut process = service.start(sockets());
    assert_eq!(service.message(), "READY=1");
    let mut load = Load::start(address);
    load.goes_on().await;
    for _ in 0..2 {
        process.signal(Signal::TERM);
        assert_eq!(service.message(), "STOPPING=1");
        let status = process.ended().await;
        assert_eq!(status.code(), Some(0), "{status}");
        process = service.start(sockets());
        assert_eq!(service.message(), "READY=1");
        load.goes_on().await;
    }
    assert!(load.end().await > 40);
}

#[tokio::test]
async fn the_manager_reads_what_the_gateway_does_and_that_it_is_alive() {
    let upstream = upstream().await;
    let service = Service::new(upstream.address, "listen = \"127.0.0.1:0\"", "127.0.0.1:0");
    let mut command = service.command(None);
    command.env("WATCHDOG_USEC", "200000");
    let mut process = service.spawn(command);
    assert_eq!(service.message(), "READY=1");
    let address = service.output.address("listening").await;
    let status = service.status();
    let expected = format!("Serving on {address}: 0 connections, 0 requests in flight");
    assert_eq!(status, expected);
    assert_eq!(service.message(), "WATCHDOG=1");
    assert_eq!(service.message(), "WATCHDOG=1");
    process.signal(Signal::TERM);
    while service.message() != "STOPPING=1" {}
    assert_eq!(process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_gateway_at_once() {
    let upstream = upstream().await;
    let service = Service::new(upstream.address, "listen = \"127.0.0.1:0\"", "127.0.0.1:0");
    let mut process = service.start(None);
    let address = service.output.address("listening").await;
    let upload = raw::head("alice", VERIFY, "Content-Length: 2000");
    let _upload = raw::begin(address, &upload).await;
    process.signal(Signal::TERM);
    service.output.line("stopping").await;
    let begin = Instant::now();
    while process.child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it ends");
        process.signal(Signal::INT);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(process.ended().await.code(), Some(1));
    service
        .output
        .line("ended at once by a second signal")
        .await;
}

/// Each of these is the second socket; the first is right.
#[tokio::test]
async fn what_is_no_socket_of_the_configuration_stops_the_start_with_a_reason() {
    let upstream = upstream().await;
    let (public, address) = listener();
    let service = Service::new(upstream.address, &server(address), "127.0.0.1:0");
    let (other, other_address) = listener();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(service.folder.path().join("unix")).unwrap();
    let connection = TcpStream::connect(address).unwrap();
    let cases: [(OwnedFd, String); 4] = [
        (other.into(), other_address.to_string()),
        (udp.into(), "a datagram socket as descriptor 4".into()),
        (unix.into(), "a Unix socket as descriptor 4".into()),
        (connection.into(), "a connection as descriptor 4".into()),
    ];
    for (second, expected) in cases {
        let first = OwnedFd::from(public.try_clone().unwrap());
        let mut command = service.command(Some([first, second]));
        // The shell's standard error is the second socket, and the program's goes to its output.
        let output = command.stdout(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&expected), "{expected}: {said}");
    }
}
