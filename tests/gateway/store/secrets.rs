//! What the store gets to see, what the log says about it, and how a replica logs in.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use data_encoding::BASE64;
use liveness_gateway::{
    emulator::Scenario,
    telemetry::{LogFormat, LogSettings, log},
};

use super::{PASS, replica_at, two, until};
use crate::support::{
    SECRET, SECRET_KEY, SESSIONCODE, VERIFY, bearer, emulator, own_process,
    redis::{self, Redis},
    routes, sealed,
    upstream::{self, Does, answer},
    verify_body, video,
};

const PASSWORD: &str = "MARKERpassword";
const USER: &str = "user-1";

/// Everything that Redis holds, as one sequence of bytes.
async fn dump(redis: &Redis) -> Vec<u8> {
    let mut all = Vec::new();
    for key in redis.keys("*").await {
        all.extend_from_slice(key.as_bytes());
        for command in ["GET", "HGETALL"] {
            for value in redis.ask(&[command, &key]).await {
                all.push(b'\n');
                all.extend_from_slice(&value);
            }
        }
    }
    all
}

#[tokio::test]
async fn the_store_holds_nothing_readable_and_nothing_without_an_expiry() {
    if !redis::is_there() {
        return;
    }
    let told = PASS.replace("SUCCESS", "MARKERofAnanswer");
    let qiniu = upstream::start(Does::InTurn(vec![
        answer("200 OK", &told),
        answer("500 X", "{}"),
    ]))
    .await;
    let redis = Redis::start().await;
    let slow = routes().replace("quota = \"\"\n", "").replace(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"6/h\"\nburst = 10\nquota = \"60/min\"",
    );
    let [one, _other] = two(qiniu.address, &redis, &slow).await;
    let ids = ["MARKERsession1", "MARKERsession2"].map(|id| sealed::fresh(qiniu.address, id));
    let video = video(0);
    let answer = one.post(false, VERIFY, verify_body(&ids[0], &video)).await;
    assert_eq!(answer.body, told.as_str());
    one.post(false, VERIFY, verify_body(&ids[1], &video)).await;
    let all = dump(&redis).await;
    assert_eq!(redis.keys("{liveness-gateway}:session:*").await.len(), 2);
    assert_eq!(redis.keys("{liveness-gateway}:rate:*").await.len(), 1);
    assert_eq!(redis.keys("{liveness-gateway}:replica:*").await.len(), 2);
    assert_eq!(redis.keys("{liveness-gateway}:epoch").await.len(), 1);
    assert_eq!(redis.keys("{liveness-gateway}:quota:*").await.len(), 1);
    assert_eq!(redis.keys("*").await.len(), 7, "all keys have the prefix");
    let token = bearer(USER);
    let text = BASE64.encode(&video[..300]);
    for secret in [
        USER,
        "MARKER",
        "action_verify",
        &ids[0],
        &ids[1],
        &token[7..60],
        SECRET,
        SECRET_KEY,
        sealed::KEY,
        &text,
        VERIFY,
        "login.example.com",
    ] {
        let found = all
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    assert!(!all.windows(64).any(|part| part == &video[..64]));
    for key in redis.keys("*").await {
        let left = redis.ask(&["PTTL", &key]).await;
        let left: i64 = str::from_utf8(&left[0]).unwrap().parse().unwrap();
        assert!(left > 0 && left <= 3_600_000, "{key} {left}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_logged_without_it_and_the_right_one_is_accepted() {
    let name =
        "store::secrets::a_wrong_password_is_logged_without_it_and_the_right_one_is_accepted";
    // The log at `trace` is that of a whole process.
    if !redis::is_there() || !own_process::is_here(name) {
        return;
    }
    let (lines, said) = log::LogWriter::capture();
    let settings = LogSettings {
        format: LogFormat::Json,
        level: tracing::Level::TRACE,
    };
    log::subscribe(settings, lines).unwrap();
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start_with(&["--requirepass", PASSWORD]).await;
    let timeout = "timeout = \"2s\"";
    let gateway = replica_at(qiniu, &redis.url(), timeout, &routes()).await;
    until(&gateway, "store_up 1").await;
    for url in [
        format!("redis://:MARKERwrong@127.0.0.1:{}", redis.port),
        format!("redis://MARKERuser:MARKERwrong@127.0.0.1:{}", redis.port),
        format!("redis://127.0.0.1:{}", redis.port),
    ] {
        let gateway = replica_at(qiniu, &url, timeout, &routes()).await;
        assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
        is_logged(&said, "does not accept the user or the password").await;
        until(&gateway, "store_up 0").await;
        clear(&said);
    }
}

fn text(said: &Arc<Mutex<Vec<u8>>>) -> String {
    let text = String::from_utf8(said.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("MARKER"), "{text}");
    text
}

fn clear(said: &Arc<Mutex<Vec<u8>>>) {
    text(said);
    said.lock().unwrap().clear();
}

async fn is_logged(said: &Arc<Mutex<Vec<u8>>>, line: &str) {
    for _ in 0..2000 {
        if text(said).contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never {line}: {}", text(said));
}
