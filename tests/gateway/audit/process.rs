//! The log of a whole process: killed under load, and on a full disk.

use std::{
    collections::HashSet,
    fs::OpenOptions,
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Log, PASS};
use crate::support::{
    VERIFY,
    gateway_process::GatewayProcess,
    raw, until,
    upstream::{self, Does, Upstream, answer},
    verify_body, video,
};

async fn qiniu() -> Upstream {
    upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await
}

/// The status and the body of the response to a verify; `None` if the gateway is gone.
async fn verify(gateway: SocketAddr) -> Option<(String, String)> {
    let body = verify_body("S1", &video(0));
    let lines = format!("Connection: close\r\nContent-Length: {}", body.len());
    let request = raw::head("user-1", VERIFY, &lines) + &body;
    let mut stream = TcpStream::connect(gateway).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    let whole = format!("content-length: {}\r\n", body.len());
    let head = format!("{}\r\n", head.to_ascii_lowercase());
    head.contains(&whole).then_some(())?;
    Some((head.get(9..12)?.to_owned(), body.to_owned()))
}

#[tokio::test]
async fn a_kill_under_load_loses_no_record_of_a_verify_that_was_answered() {
    let (qiniu, log) = (qiniu().await, Log::new());
    let answered = Arc::<Mutex<Vec<String>>>::default();
    for round in 1..=2 {
        let more = log.section("required = true");
        let gateway = GatewayProcess::start("-n 1024", qiniu.address, &more).await;
        let address = gateway.address;
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let answered = Arc::clone(&answered);
                tokio::spawn(async move {
                    while let Some((status, body)) = verify(address).await {
                        assert_eq!(status, "200", "{body}");
                        let hash = HEXLOWER.encode(&Sha256::digest(body));
                        answered.lock().unwrap().push(hash);
                    }
                })
            })
            .collect();
        until("the load", async || {
            answered.lock().unwrap().len() >= 20 * round
        })
        .await;
        drop(gateway);
        for task in tasks {
            task.await.unwrap();
        }
    }
    // What a write that was cut off leaves.
    let mut file = OpenOptions::new().append(true).open(log.path()).unwrap();
    file.write_all(b"{\"chain\":\"0123").unwrap();
    let before = log.text().lines().count() as u64;
    assert_eq!(
        log.check().unwrap_err(),
        format!("{before}: the record is cut off")
    );
    let gateway = GatewayProcess::start("-n 1024", qiniu.address, &log.section("")).await;
    gateway.line("the audit log ends here").await;
    drop(gateway);
    assert_eq!(log.check().unwrap().len(), 1);
    let records = log.records();
    let starts = records.iter().filter(|record| record["event"] == "start");
    let torn: Vec<_> = starts.map(|record| record["torn_bytes"].as_u64()).collect();
    assert_eq!((torn.len(), torn[2]), (3, Some(14)), "{torn:?}");
    // Each answered verify has its record, and what was begun and not ended was not answered.
    let count = |event: &str| records.iter().filter(|it| it["event"] == event).count();
    let answered = answered.lock().unwrap();
    assert!(
        count("verify") >= answered.len(),
        "{} {}",
        count("verify"),
        answered.len()
    );
    assert!(count("begin") >= count("verify"));
    let recorded: HashSet<_> = records
        .iter()
        .filter_map(|record| record["response_sha256"].as_str())
        .collect();
    assert!(answered.iter().all(|hash| recorded.contains(hash.as_str())));
}

#[tokio::test]
async fn a_full_disk_stops_verifies_only_if_the_log_is_required() {
    for required in [true, false] {
        let (qiniu, log) = (qiniu().await, Log::new());
        let more = log.section(&format!("required = {required}"));
        // A file may have 4 KiB, and a write beyond them fails as on a full disk.
        let limit = "-n 1024 && trap '' XFSZ && ulimit -f 8";
        let gateway = GatewayProcess::start(limit, qiniu.address, &more).await;
        let full = || !gateway.lines("audit records can't be written").is_empty();
        let verifies = || {
            super::events(&log.records())
                .iter()
                .filter(|it| *it == "verify")
                .count()
        };
        let mut passed = 0;
        while !full() {
            let (status, body) = verify(gateway.address).await.unwrap();
            match status.as_str() {
                "200" => passed += 1,
                _ => assert!(required && status == "503", "{body}"),
            }
            until("its record", async || verifies() >= passed || full()).await;
        }
        for _ in 0..2 {
            let (status, body) = verify(gateway.address).await.unwrap();
            let refused = status == "503" && body.contains("\"not_ready\"");
            assert!(
                refused == required && (refused || status == "200"),
                "{body}"
            );
            passed += usize::from(!refused);
        }
        assert_eq!(
            qiniu.requests(),
            passed,
            "nothing is sent that is not recorded"
        );
        let told = gateway.line("audit records can't be written").await;
        assert_eq!(told["level"], "error");
        // Nothing is torn, and a rotation makes room.
        log.check().unwrap();
        std::fs::rename(log.path(), log.file("1")).unwrap();
        gateway.line("audit records are written again").await;
        drop(gateway);
        let chains = super::check(&[&log.file("1"), &log.path()], None).unwrap();
        assert_eq!(chains.len(), 1);
        // What could not be written at once is in the next file, and nothing is lost.
        let first = std::fs::read_to_string(log.file("1")).unwrap();
        let events = super::events(&super::records(&(first + &log.text())));
        let count = |event: &str| events.iter().filter(|it| *it == event).count();
        assert_eq!((count("verify"), count("gap")), (passed, 1), "{events:?}");
        assert_eq!(count("begin"), if required { passed } else { 0 });
    }
}
