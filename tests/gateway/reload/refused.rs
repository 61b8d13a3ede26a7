//! A file that can't be used changes nothing, and is explained.

use liveness_gateway::emulator::Scenario;

use super::{FILE, Reloaded, configuration, value};
use crate::support::{SECRET_KEY, SESSIONCODE, emulator, routes, sealed};

async fn works(file: &Reloaded) {
    let answer = file.gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn all_errors_are_named_at_once_with_what_cannot_change_and_nothing_has_changed() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let sections = format!("{}{}", sealed::SETTINGS, routes());
    let mut file = Reloaded::start(configuration(qiniu, &sections)).await;
    let wrong = file
        .text
        .replacen("127.0.0.1:0", "127.0.0.1:7", 1)
        .replacen(
            "[admin]\nlisten = \"127.0.0.1:0\"",
            "[admin]\nlisten = \"127.0.0.1:8\"",
            1,
        )
        .replace(
            "max_connections = 300",
            "max_connections = 10\nmax_hed_bytes = \"1KiB\"",
        )
        .replace("seal_key = { env = \"SEAL\" }", "bind = false")
        .replace("timeout = \"2s\"", "timeout = \"2\"")
        + "[server.tls]\ncertificate = \"none.pem\"\nprivate_key = \"none.key\"\n\
           [store]\nredis = { env = \"AK\" }\n";
    let events = file.refuse(&wrong).await.join("\n");
    for part in [
        ":2:10: `server.listen` can't change while the gateway runs; restore what it was",
        "`admin.listen` can't change",
        "`sessions.bind` can't change",
        "`store.redis` can't change",
        "[server.tls] can't be added while the gateway runs",
        "`max_hed_bytes`",
        "`timeout`",
        "none.pem",
    ] {
        assert!(events.contains(part), "{part} is not in {events}");
    }
    assert!(!events.contains("127.0.0.1:7"), "{events}");
    let metrics = file.gateway.metrics().await;
    let successful = "last_reload_successful{what=\"configuration\"}";
    assert_eq!(value(&metrics, successful), "0");
    assert_eq!(value(&metrics, "connections_limit"), "300");
    works(&file).await;
    // The old file again, which is in use: all is well, without a reload.
    file.folder.write(FILE, &file.text);
    file.gateway
        .until_metrics_have(&format!("{successful} 1"))
        .await;
    assert_eq!(file.outcomes().await, (0, 1));
    file.change("max_connections = 300", "max_connections = 200")
        .await;
    let metrics = file.gateway.metrics().await;
    assert_eq!(value(&metrics, "connections_limit"), "200");
}

#[tokio::test]
async fn each_way_to_break_the_file_is_refused_once_and_named() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let file = Reloaded::start(configuration(qiniu, &routes())).await;
    let unreachable = "secret = { env = \"JWT\" }";
    for (from, to, named) in [
        ("[admin]", "[admin", "this is not TOML"),
        (
            "kind = \"session\"",
            "kind = \"sesion\"",
            "`kind` can't be `sesion`",
        ),
        (
            "{ env = \"SK\" }",
            "{ env = \"MISSING\" }",
            "`MISSING` is not set",
        ),
        ("{ env = \"SK\" }", "{ file = \"./none\" }", "`none`"),
        (
            unreachable,
            "jwks_url = \"http://127.0.0.1:1/\"",
            "the keys of none of its issuers",
        ),
        (&file.text, "\0", "it is not UTF-8"),
    ] {
        let events = file.refuse(&file.text.replace(from, to)).await;
        let all = events.join("\n");
        let part = named.trim_matches('`');
        assert!(all.contains(part), "{named} is not in {all}");
        works(&file).await;
    }
    assert_eq!(file.outcomes().await, (0, 6));
}

#[tokio::test]
async fn a_file_that_is_named_too_early_is_waited_for() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let file = Reloaded::start(configuration(qiniu, &routes())).await;
    let early = file
        .text
        .replace("{ env = \"SK\" }", "{ file = \"./later\" }");
    let early = early.replace("max_connections = 300", "max_connections = 200");
    file.refuse(&early).await;
    // Still wrong, but in another way: that is told, too.
    let path = file.folder.path();
    let appears = |content| {
        file.folder.write("content", content);
        std::fs::rename(path.join("content"), path.join("later")).unwrap();
    };
    appears("two words");
    assert_eq!(file.next_outcomes((0, 1)).await, (0, 2));
    works(&file).await;
    appears(SECRET_KEY);
    assert_eq!(file.next_outcomes((0, 2)).await, (1, 2));
    let metrics = file.gateway.metrics().await;
    assert_eq!(value(&metrics, "connections_limit"), "200");
}
