//! SIGUSR2: another program takes over the listening sockets, or the old one goes on.

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt, process::Command};

use rustix::process::Signal;

use super::{
    load::Load,
    server,
    service::{Service, Stranger, kill, listener, sockets},
    upstream,
};
use crate::support::{
    SESSIONCODE, VERIFY,
    program::{Output, Program},
    raw,
    upstream::Upstream,
};

/// A started service on ports that it has chosen.
async fn started(server: &str) -> (Upstream, Service, Program, SocketAddr) {
    let upstream = upstream().await;
    let server = format!("listen = \"127.0.0.1:0\"\n{server}");
    let service = Service::new(upstream.address, &server, "127.0.0.1:0");
    let process = service.start(None);
    assert_eq!(service.message(), "READY=1");
    let address = service.output.address("listening").await;
    (upstream, service, process, address)
}

/// Puts another program in the place of the one that runs, as an upgrade does. A process of its own
/// writes the file: until a child of another test has closed what it inherits of this process,
/// nobody could execute it.
fn upgrade(service: &Service) {
    const UPGRADE: &str = "cp \"$0\" \"$0.new\" && printf 'of another build' >> \"$0.new\" \
         && mv \"$0.new\" \"$0\"";
    let mut upgrade = Command::new("/bin/sh");
    let upgraded = upgrade
        .args(["-c", UPGRADE])
        .arg(service.program())
        .status();
    assert!(upgraded.unwrap().success());
}

/// The number of the process that the manager is told to watch.
pub(super) fn main_process(message: &str) -> u32 {
    message.strip_prefix("MAINPID=").unwrap().parse().unwrap()
}

fn proc(process: u32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{process}/{file}")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_load_refuses_no_connection_and_loses_no_request() {
    let (_upstream, service, mut process, address) = started("").await;
    let mut load = Load::start(address);
    load.goes_on().await;
    let (old_sockets, arguments) = (sockets(process.id()), proc(process.id(), "cmdline"));
    upgrade(&service);
    process.signal(Signal::USR2);
    let new = Stranger(main_process(&service.message()));
    // The manager reads it from the new process: the old one may not speak any more.
    assert_eq!(service.message(), "READY=1");
    load.goes_on().await;
    let status = process.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
    load.goes_on().await;
    assert!(load.end().await > 30);

    let file = fs::metadata(service.program()).unwrap().ino();
    let runs = fs::metadata(format!("/proc/{}/exe", new.0));
    assert_eq!(
        runs.map_or(file, |runs| runs.ino()),
        file,
        "the new program runs"
    );
    assert_eq!(proc(new.0, "cmdline"), arguments);
    let environment = String::from_utf8(proc(new.0, "environ")).unwrap();
    let names = environment.split_terminator('\0');
    let mut names: Vec<_> = names.filter_map(|it| Some(it.split_once('=')?.0)).collect();
    names.sort_unstable();
    let expected = [
        "AK",
        "JWT",
        "LIVENESS_GATEWAY_PREDECESSOR",
        "NOTIFY_SOCKET",
        "SK",
    ];
    assert!(names.is_empty() || names == expected, "{names:?}");
    if let (Some(old), Some(new)) = (old_sockets, sockets(new.0)) {
        let mut passed: Vec<_> = new.iter().filter(|it| old.contains(it)).collect();
        passed.sort_unstable();
        passed.dedup();
        assert_eq!(
            passed.len(),
            2,
            "the two listening sockets, and nothing else"
        );
    }

    // The new one can be replaced as well, and stops like any other.
    kill(new.0, Signal::USR2);
    let newer = Stranger(main_process(&service.message()));
    assert_eq!(service.message(), "READY=1");
    kill(newer.0, Signal::TERM);
    assert_eq!(service.message(), "STOPPING=1");
    service.output.line(Output::END).await;
}

#[tokio::test]
async fn uploads_that_have_begun_end_in_the_old_process() {
    let (_upstream, service, mut process, address) = started("").await;
    let body = crate::support::verify_body("S", &crate::support::video(0));
    let request = raw::whole("alice", VERIFY, &body);
    let (begin, rest) = request.split_at(request.len() - 100);
    let mut upload = raw::begin(address, begin).await;
    let asked = raw::whole("bob", SESSIONCODE, "{}");
    let mut kept = raw::begin(address, &asked).await;
    raw::until(&mut kept, "}}").await;
    process.signal(Signal::USR2);
    let _new = Stranger(main_process(&service.message()));
    assert_eq!(service.message(), "READY=1");
    service.output.line("handed over").await;
    // A connection in use may have a request on its way, which is its last one.
    tokio::io::AsyncWriteExt::write_all(&mut kept, asked.as_bytes())
        .await
        .unwrap();
    let last = raw::rest(kept).await;
    assert!(
        last.starts_with("HTTP/1.1 200 ") && last.contains("connection: close"),
        "{last}"
    );
    tokio::io::AsyncWriteExt::write_all(&mut upload, rest.as_bytes())
        .await
        .unwrap();
    let answer = raw::rest(upload).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_new_process_that_fails_leaves_the_old_one_serving() {
    let (upstream, service, process, address) = started("").await;
    let (busy, busy_address) = listener();
    let good = fs::read(service.folder.path().join("gateway.toml")).unwrap();
    let mut seen = 0;
    for (label, expected) in [
        ("the configuration is wrong", "exit status: 1"),
        ("an address is in use", "exit status: 1"),
        ("the program is gone", "can't be started"),
        ("the program is none", "can't be started"),
    ] {
        match label {
            "the configuration is wrong" => service.folder.rename_over("gateway.toml", "[server"),
            "an address is in use" => {
                service.configure(upstream.address, &server(busy_address), "127.0.0.1:0")
            }
            "the program is gone" => fs::remove_file(service.program()).unwrap(),
            _ => service.folder.rename_over("gateway", "no program"),
        }
        process.signal(Signal::USR2);
        let (line, lines) = service
            .output
            .line_behind(seen, "so this one goes on")
            .await;
        seen = lines;
        assert!(line.contains(expected), "{label}: {line}");
        let request = raw::head(
            "alice",
            SESSIONCODE,
            "Content-Length: 2\r\nConnection: close",
        );
        let answer = raw::ask(address, &(request + "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{label}: {answer}");
    }
    drop(busy);
    // Once all is well again, the same process hands over.
    fs::write(service.folder.path().join("gateway.toml"), good).unwrap();
    service.install("gateway.new");
    fs::rename(service.folder.path().join("gateway.new"), service.program()).unwrap();
    process.signal(Signal::USR2);
    let _new = Stranger(main_process(&service.message()));
    assert_eq!(service.message(), "READY=1");
}
