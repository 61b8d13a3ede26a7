//! The keys of `[audit]` take effect while the gateway runs, and the chain goes on.

use std::{
    fs::File,
    io::Read as _,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use hyper::Request;
use liveness_gateway::audit::{CheckpointKeys, verify::AuditVerifier};

use super::{FILE, Reloaded, configuration};
use crate::support::{
    Gateway, UNBOUND, VERDICT, VERIFY,
    folder::Folder,
    routes, send, until,
    upstream::{self, Does, answer},
    verify_body, video,
};

const PASS: &str = r#"{"error_code":0,"serverlogid":1,"result":{"action_verify":"pass"}}"#;

async fn verify(gateway: &Gateway) -> String {
    let body = verify_body("S1", &video(0));
    let answer = gateway.post(false, VERIFY, body).await;
    match answer.status.as_u16() {
        200 => "ok".into(),
        _ => answer.code(),
    }
}

async fn readiness(gateway: &Gateway) -> serde_json::Value {
    let request = Request::get("/readyz").header("host", "admin");
    let ready = send(gateway.admin, false, request, Bytes::new()).await;
    ready.json()["checks"]["audit"].clone()
}

/// What is read from a FIFO.
fn reader(folder: &Folder) -> (thread::JoinHandle<()>, Arc<Mutex<Vec<u8>>>) {
    let (path, text) = (
        folder.path().join("audit"),
        Arc::<Mutex<Vec<u8>>>::default(),
    );
    let kept = Arc::clone(&text);
    let thread = thread::spawn(move || {
        let mut fifo = File::open(path).unwrap();
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = fifo.read(&mut bytes) {
            kept.lock().unwrap().extend(&bytes[..length]);
        }
    });
    (thread, text)
}

#[tokio::test]
async fn each_key_of_the_audit_log_takes_effect_and_the_chain_goes_on() {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
    let audit = "[audit]\npath = \"audit\"\nrequired = false\ncheckpoint = \"30day\"\n\
                 consent_claim = \"\"\n";
    let more = format!("{audit}{VERDICT}{UNBOUND}{}", routes());
    let text = configuration(qiniu.address, &more);
    let folder = Folder::with(&[(FILE, &text)]);
    let made = Command::new("mkfifo")
        .arg(folder.path().join("audit"))
        .status();
    assert!(made.unwrap().success());
    let mut reloaded = Reloaded::start_in(folder, text, &[]).await;

    // Nobody reads the FIFO yet.
    assert_eq!(verify(&reloaded.gateway).await, "ok");
    assert!(readiness(&reloaded.gateway).await.is_null());
    reloaded.change("required = false", "required = true").await;
    assert_eq!(verify(&reloaded.gateway).await, "not_ready");
    assert_eq!(readiness(&reloaded.gateway).await, "failing");
    reloaded.change("required = true", "required = false").await;
    assert_eq!(verify(&reloaded.gateway).await, "ok");
    assert!(readiness(&reloaded.gateway).await.is_null());

    reloaded
        .change("consent_claim = \"\"", "consent_claim = \"agreed\"")
        .await;
    assert_eq!(verify(&reloaded.gateway).await, "insufficient_scope");
    reloaded
        .change("consent_claim = \"agreed\"", "consent_claim = \"sub\"")
        .await;
    assert_eq!(verify(&reloaded.gateway).await, "ok");

    let (thread, text) = reader(&reloaded.folder);
    let count = |event: &str| {
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        text.matches(&format!("\"event\":\"{event}\"")).count()
    };
    until("a gap", async || count("gap") > 0).await;
    assert_eq!(count("checkpoint"), 0);
    reloaded.change("\"30day\"", "\"1s\"").await;
    until("a checkpoint", async || count("checkpoint") > 0).await;
    let keys = reloaded
        .gateway
        .request(false, "GET", "/.well-known/jwks.json");
    let keys = reloaded.gateway.send(false, keys, Bytes::new()).await.body;
    reloaded.gateway.stop();
    (&mut reloaded.gateway.ended).await.unwrap();
    thread.join().unwrap();
    assert_eq!(["start", "verify", "gap", "stop"].map(count), [1, 3, 1, 1]);
    let text = text.lock().unwrap();
    let consents = String::from_utf8(text.clone()).unwrap();
    assert_eq!(consents.matches("\"consent\":\"user-1\"").count(), 1);
    let keys = CheckpointKeys::parse(&keys).unwrap();
    let mut verifier = AuditVerifier::default().with_keys(Some(keys));
    verifier.read(&text[..]).unwrap();
    assert_eq!(verifier.finish().unwrap().len(), 1);
}
