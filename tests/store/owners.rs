//! A replica that dies in the middle of a call: nobody can know what came of it, and nobody calls again.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    replica,
    support::{
        ACCESS_KEY, ISSUER, SECRET, SECRET_KEY, VERIFY, bearer,
        quota::with_quota,
        redis::{self, Redis},
        sealed::{self, fresh},
        upstream::{self, Does},
        verify_body, video,
    },
    told, until,
};

/// The built program, in a process of its own.
struct Process {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Process {
    fn start(upstream: SocketAddr, redis: &Redis) -> Self {
        let folder = std::env::temp_dir().join(format!("liveness-gateway-owner-{}", redis.port));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("gateway.toml");
        std::fs::write(&file, configuration(upstream)).unwrap();
        let child = Command::new(Path::new(env!("CARGO_BIN_EXE_liveness-gateway")))
            .args(["serve", "--config"])
            .arg(&file)
            .env_clear()
            .envs([
                ("AK", ACCESS_KEY),
                ("SK", SECRET_KEY),
                ("JWT", SECRET),
                ("SEAL", sealed::KEY),
                ("REDIS", &redis.url()),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // From here on it ends with this, whatever happens.
        let mut process = Self {
            child,
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let output = process.child.stdout.take().unwrap();
        let mut shares = false;
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            shares |= line.contains("the store is there");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "listening" {
                process.address = line["address"].as_str().unwrap().parse().unwrap();
            }
            if shares && process.address.port() != 0 {
                return process;
            }
        }
        panic!("it ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn configuration(upstream: SocketAddr) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[qiniu]\nendpoint = \"http://{upstream}\"\n\
         access_key = {{ env = \"AK\" }}\nsecret_key = {{ env = \"SK\" }}\n\
         [[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\nsecret = {{ env = \"JWT\" }}\n{}\
         [store]\nredis = {{ env = \"REDIS\" }}\ntimeout = \"2s\"\n{}",
        sealed::SETTINGS,
        with_quota("5/day")
    )
}

#[tokio::test]
async fn a_killed_replica_s_call_is_never_made_again() {
    if !redis::is_there() {
        return;
    }
    let qiniu = upstream::start(Does::Hang).await;
    let redis = Redis::start().await;
    let other = replica(qiniu.address, &redis, &with_quota("5/day")).await;
    until(&other, "store_up 1").await;
    let owner = Process::start(qiniu.address, &redis);
    let id = fresh(qiniu.address, "S1");
    let body = verify_body(&id, &video(0));
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        bearer("user-1"),
        body.len()
    );
    let mut stream = TcpStream::connect(owner.address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    while qiniu.requests() == 0 {
        tokio::task::yield_now().await;
    }
    drop(owner);
    let began = Instant::now();
    for body in [&body, &verify_body(&id, &video(200_000)), &body] {
        let answer = other.post(false, VERIFY, body.clone()).await;
        told(&answer, 409, "outcome_unknown");
    }
    // Its last sign of life is believed for ten seconds.
    assert!(began.elapsed() < Duration::from_secs(15), "{began:?}");
    assert_eq!(qiniu.requests(), 1);
    // It may have been billed, so it counts, and none of the others does.
    let counts = redis.keys("liveness-gateway:quota:*").await;
    assert_eq!(counts.len(), 1);
    assert_eq!(redis.ask(&["HGET", &counts[0], "n"]).await, [b"1"]);
}
