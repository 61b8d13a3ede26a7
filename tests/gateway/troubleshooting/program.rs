//! Failures of a running program: a store that is gone, a configuration that is wrong.

use crate::support::{emulator, folder::Folder, gateway_process::GatewayProcess, raw, upstream};
use liveness_gateway::emulator::Scenario;

/// The metrics of a gateway in a process of its own.
async fn metrics(gateway: &GatewayProcess) -> String {
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    raw::ask(gateway.admin, request).await
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_store_that_is_gone_is_told_with_what_to_check() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let (_socket, refusing) = upstream::not_listening();
    let folder = Folder::with(&[("redis", &format!("redis://{refusing}"))]);
    let file = folder.path().join("redis").display().to_string();
    let store = format!("[store]\nredis = {{ file = \"{file}\" }}\n");
    let gateway = GatewayProcess::start("-n 1024", qiniu, &store).await;
    let line = gateway.line("the store is unavailable").await;
    let message = line["message"].as_str().unwrap();
    assert_eq!(line["level"], "warn");
    assert!(message.contains("store.redis"), "{message}");
    assert!(message.contains("uses its own limits"), "{message}");
    assert!(
        metrics(&gateway)
            .await
            .contains("\nliveness_gateway_store_up 0\n")
    );
    // Each failed try is the same state.
    assert_eq!(gateway.lines("the store is unavailable").len(), 1);
}

#[tokio::test]
async fn a_bad_reload_is_told_with_its_error_and_that_the_old_one_stays() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = GatewayProcess::start("-n 1024", qiniu, "").await;
    gateway.reconfigure(|text| text.replace("kind = \"verify\"", "kind = \"veryfi\""));
    let refused = gateway.line("the new configuration is refused").await;
    assert_eq!(
        (&refused["level"], &refused["errors"]),
        (&"error".into(), &1.into())
    );
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("the old one stays in use: correct the file"),
        "{message}"
    );
    let error = gateway.line("the new configuration has an error").await;
    let message = error["message"].as_str().unwrap();
    let parts = ["gateway.toml:", "`kind` can't be `veryfi`", "write"];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    let counted = "reloads_total{what=\"configuration\",outcome=\"refused\"} 1";
    assert!(metrics(&gateway).await.contains(counted));
}
