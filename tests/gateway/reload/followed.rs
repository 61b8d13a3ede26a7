//! Every way in which a file changes is noticed, and SIGHUP asks for a reload at once.

use liveness_gateway::emulator::Scenario;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;

use super::{FILE, Reloaded, configuration, value};
use crate::support::{
    SESSIONCODE, bearer, emulator, folder::Folder, gateway_process::GatewayProcess, raw, routes,
};

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let text = configuration(qiniu, &routes());
    let folder = Folder::with(&[]);
    folder.publish(&[(FILE, &text), ("other", "")]);
    let file = Reloaded::start_in(folder, text, &[]).await;
    for places in [200, 100] {
        let before = file.outcomes().await;
        let number = format!("max_connections = {places}");
        let text = file.text.replace("max_connections = 300", &number);
        file.folder.publish(&[(FILE, &text), ("other", "")]);
        assert_eq!(file.next_outcomes(before).await, (before.0 + 1, 0));
        let metrics = file.gateway.metrics().await;
        assert_eq!(value(&metrics, "connections_limit"), places.to_string());
    }
}

#[tokio::test]
async fn a_file_that_is_renamed_over_the_old_one_or_gone_for_a_moment_is_followed() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let file = Reloaded::start(configuration(qiniu, &routes())).await;
    for (count, places) in [(1, 200), (2, 100)] {
        let before = file.outcomes().await;
        let number = format!("max_connections = {places}");
        let text = file.text.replace("max_connections = 300", &number);
        if count == 2 {
            file.folder.remove(FILE);
        }
        file.folder.rename_over(FILE, &text);
        assert_eq!(file.next_outcomes(before).await, (count, 0));
        let metrics = file.gateway.metrics().await;
        assert_eq!(value(&metrics, "connections_limit"), places.to_string());
    }
}

#[tokio::test]
async fn an_override_of_the_environment_still_wins_after_a_reload() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let text = configuration(qiniu, &routes());
    let folder = Folder::with(&[(FILE, &text)]);
    let pinned = ("LIVENESS_GATEWAY__SERVER__MAX_CONNECTIONS", "77");
    let mut file = Reloaded::start_in(folder, text, &[pinned]).await;
    file.change("max_connections = 50", "max_connections = 51")
        .await;
    let metrics = file.gateway.metrics().await;
    assert_eq!(value(&metrics, "connections_limit"), "77");
}

#[tokio::test]
async fn sighup_reloads_at_once_and_ends_nothing() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let server = "max_connections = 300\nhead_timeout = \"10min\"";
    let gateway = GatewayProcess::start("-n 1000", qiniu, server).await;
    let head = format!(
        "POST {SESSIONCODE} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
        bearer("user-1")
    );
    // Half of a head is on its way all the time.
    let (half, rest) = head.split_at(head.len() / 2);
    let mut slow = raw::begin(gateway.address, half).await;
    gateway.signal(Signal::HUP);
    let same = gateway.line("the configuration was read again").await;
    assert_eq!(same["level"], "info");
    gateway.rewrite("max_connections = 300", "max_connections = 200");
    gateway.signal(Signal::HUP);
    let line = gateway.line("the new configuration is in use").await;
    assert_eq!(line["changed"], "server.max_connections");
    gateway.rewrite("listen = ", "lisen = ");
    gateway.signal(Signal::HUP);
    let line = gateway.line("the new configuration is refused").await;
    assert_eq!(
        (&line["level"], &line["errors"]),
        (&"error".into(), &4.into())
    );
    assert_eq!(gateway.lines("the new configuration has an error").len(), 4);
    slow.write_all(format!("{rest}{{}}").as_bytes())
        .await
        .unwrap();
    let answer = raw::rest(slow).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
