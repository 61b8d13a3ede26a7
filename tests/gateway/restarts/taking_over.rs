//! The new process, from its start until it serves in the place of the old one.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::sync::Semaphore;

use super::{
    replaced::main_process,
    service::{Service, Stranger, kill},
    upstream,
};
use crate::support::{
    ISSUER, SESSIONCODE,
    identity::{DISCOVERY, Does, KEYS, Provider, Signer, section},
    program::Program,
    raw, until,
    upstream::Upstream,
};

const NEW_ISSUER: &str = "https://new.example";

/// A started service on ports that it has chosen.
async fn started(more: &str) -> (Upstream, Service, Program) {
    let upstream = upstream().await;
    let service = Service::new(upstream.address, "listen = \"127.0.0.1:0\"", "127.0.0.1:0");
    service.identify(&fixed(), &(fixed() + more));
    let process = service.start(None);
    assert_eq!(service.message(), "READY=1");
    (upstream, service, process)
}

/// The `[[identity]]` that each service has.
fn fixed() -> String {
    section(ISSUER, "secret = { env = \"JWT\" }")
}

async fn ask(service: &Service, authorization: &str) -> String {
    let address = service.output.address("listening").await;
    let request = format!(
        "POST {SESSIONCODE} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {authorization}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    raw::ask(address, &request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_an_issuer_that_is_down_are_served_by_the_new_process() {
    let key = Signer::new("a");
    let provider = Provider::start(vec![key.jwk()]).await;
    let (_upstream, service, process) = started(&provider.identity("")).await;
    let token = key.token(&provider, "user-1");
    let served = async || ask(&service, &token).await.starts_with("HTTP/1.1 200 ");
    until("the keys are known", served).await;
    provider.does(DISCOVERY, Does::Close);
    provider.does(KEYS, Does::Close);
    process.signal(Signal::USR2);
    let new = Stranger(main_process(&service.message()));
    assert_eq!(service.message(), "READY=1");
    service.output.line("handed over").await;
    let answer = ask(&service, &token).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let line = service
        .output
        .line("are those that the earlier process")
        .await;
    assert!(line.contains("\"keys\":1,"), "{line}");
    // And by the one after that.
    kill(new.0, Signal::USR2);
    let _newer = Stranger(main_process(&service.message()));
    assert_eq!(service.message(), "READY=1");
    let answer = ask(&service, &token).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// A service whose next process has one issuer, another one, and waits for its keys until a permit
/// is added. Also returns that process.
async fn waiting(key: &Signer) -> (Upstream, Service, Program, Stranger, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Provider::start(vec![key.jwk()]).await;
    provider.does(KEYS, Does::WhenLet(Arc::clone(&gate)));
    let (upstream, service, process) = started("").await;
    let (_, seen) = service.output.line_behind(0, "admin listening").await;
    let keys = format!("jwks_url = \"http://{}{KEYS}\"", provider.address);
    service.identify(&fixed(), &section(NEW_ISSUER, &keys));
    process.signal(Signal::USR2);
    let line = service.output.line("starting anew").await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let new = Stranger(line["process"].as_u64().unwrap().try_into().unwrap());
    service.output.line_behind(seen, "admin listening").await;
    (upstream, service, process, new, gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_it_takes_over_the_new_process_answers_no_probe_and_is_not_replaced() {
    let (_upstream, service, mut process, new, gate) = waiting(&Signer::new("a")).await;
    // It may be meant for both: `systemctl kill` without `--kill-who=main`.
    kill(new.0, Signal::USR2);
    let admin = service.output.address("admin listening").await;
    for _ in 0..20 {
        let probe = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = raw::ask(admin, probe).await;
        assert!(answer.contains("\"keys\":\"ok\""), "{answer}");
    }
    let lines = service.output.lines();
    let starts = lines.iter().filter(|line| line.contains("starting anew"));
    assert_eq!(starts.count(), 1, "there is no third one");
    gate.add_permits(10);
    assert_eq!(main_process(&service.message()), new.0);
    assert_eq!(service.message(), "READY=1");
    assert_eq!(process.ended().await.code(), Some(0));
    // Its turn comes now.
    let _newer = Stranger(main_process(&service.message()));
    assert_eq!(service.message(), "READY=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_whose_predecessor_is_killed_serves_on_its_sockets() {
    let key = Signer::new("a");
    let (_upstream, service, mut process, _new, gate) = waiting(&key).await;
    process.child.kill().unwrap();
    // At once: without the word of the other, it would wait for keys as long as it takes.
    service.output.line("has ended without handing over").await;
    gate.add_permits(10);
    assert_eq!(service.message(), "READY=1");
    let token = key.token_as(key.id, NEW_ISSUER, "user-1");
    let answer = ask(&service, &token).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
