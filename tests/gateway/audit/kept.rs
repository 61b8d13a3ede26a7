//! A chain goes on over restarts, over rotated files and over two gateways at the same time.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
};

use super::{Log, PASS, check, stopped, verify};
use crate::support::{
    Gateway, until,
    upstream::{self, Does, Upstream, answer},
};

async fn qiniu() -> Upstream {
    upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await
}

async fn gateway(qiniu: &Upstream, log: &Log) -> Gateway {
    Gateway::start(qiniu.address, "", &log.unbound("required = true")).await
}

async fn passes(gateway: &Gateway) {
    let answer = verify(gateway).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_restart_continues_the_chain_and_says_what_was_torn() {
    let (qiniu, log) = (qiniu().await, Log::new());
    for _ in 0..2 {
        let gateway = gateway(&qiniu, &log).await;
        passes(&gateway).await;
        stopped(gateway).await;
    }
    let whole = ["start", "begin", "verify", "stop"];
    assert_eq!(log.events(), [whole, whole].concat());
    let torn = &log.text()[..100];
    let mut file = OpenOptions::new().append(true).open(log.path()).unwrap();
    file.write_all(torn.as_bytes()).unwrap();
    assert_eq!(log.check().unwrap_err(), "9: the record is cut off");
    stopped(gateway(&qiniu, &log).await).await;
    let records = log.records();
    assert_eq!(records[8]["torn_bytes"], 100);
    assert_eq!(records[9]["event"], "stop");
    let chains = log.check().unwrap();
    assert!(chains.len() == 1 && chains[0].to_string().contains("starts: 3, stops: 3"));
}

#[tokio::test]
async fn a_renamed_file_ends_with_a_record_of_that_and_the_next_one_continues() {
    let (qiniu, log) = (qiniu().await, Log::new());
    let gateway = gateway(&qiniu, &log).await;
    passes(&gateway).await;
    // Once as `mv` does it, once as logrotate's `create`.
    fs::rename(log.path(), log.file("1")).unwrap();
    passes(&gateway).await;
    fs::rename(log.path(), log.file("2")).unwrap();
    fs::write(log.path(), "").unwrap();
    passes(&gateway).await;
    // A rotation is noticed without any request, too.
    fs::rename(log.path(), log.file("3")).unwrap();
    let third = || super::records(&fs::read_to_string(log.file("3")).unwrap());
    until("the rotation", async || {
        third().last().unwrap()["event"] == "rotate"
    })
    .await;
    // The next file is there at once, for whoever starts after a kill.
    log.wait_for(&["continue"]).await;
    stopped(gateway).await;
    assert_eq!(log.events(), ["continue", "stop"]);
    let files = ["1", "2", "3", "audit.jsonl"].map(|name| log.file(name));
    let files = files.each_ref().map(std::path::PathBuf::as_path);
    let [chain] = &check(&files, None).unwrap()[..] else {
        panic!("more than one chain")
    };
    assert!(chain.to_string().contains("ends with the stop"), "{chain}");
    for file in &files[..3] {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(super::records(&text).last().unwrap()["event"], "rotate");
    }
    for file in &files[1..] {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(super::records(&text)[0]["event"], "continue");
    }
    let [one, two, three, four] = files;
    assert!(
        check(&[two, one], None)
            .unwrap_err()
            .starts_with("1: the chain begins")
    );
    assert!(
        check(&[one, three, four], None)
            .unwrap_err()
            .starts_with("1: records")
    );
}

#[tokio::test]
async fn two_gateways_write_one_chain_to_one_file() {
    let (qiniu, log) = (qiniu().await, Log::new());
    let (one, other) = (gateway(&qiniu, &log).await, gateway(&qiniu, &log).await);
    for _ in 0..5 {
        tokio::join!(passes(&one), passes(&other), passes(&one), passes(&other));
    }
    fs::rename(log.path(), log.file("1")).unwrap();
    tokio::join!(passes(&one), passes(&other));
    tokio::join!(stopped(one), stopped(other));
    let chains = check(&[&log.file("1"), &log.path()], None).unwrap();
    assert_eq!(chains.len(), 1);
    // 2 starts, 22 calls of two records, the end and the beginning of a file, 2 stops.
    assert!(
        chains[0].to_string().contains("50 records, 0 to 49"),
        "{}",
        chains[0]
    );
}

#[tokio::test]
async fn records_that_are_removed_while_the_gateway_runs_leave_a_gap() {
    let (qiniu, log) = (qiniu().await, Log::new());
    let gateway = gateway(&qiniu, &log).await;
    passes(&gateway).await;
    let text = log.text();
    let end: usize = text.lines().take(2).map(|line| line.len() + 1).sum();
    let file = OpenOptions::new().write(true).open(log.path()).unwrap();
    file.set_len(end as u64).unwrap();
    assert_eq!(log.events(), ["start", "begin"]);
    passes(&gateway).await;
    stopped(gateway).await;
    assert_eq!(
        log.check().unwrap_err(),
        "3: record 2 is missing before record 3"
    );
}
