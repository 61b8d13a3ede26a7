//! Qiniu's two keys: always used as a pair, and no request fails because of a change.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use liveness_gateway::{
    emulator::{Emulator, EmulatorSettings, Scenario},
    secret::Secret,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Folder, gateway_that_looks, identity, until};
use crate::support::{Gateway, SESSIONCODE, UNBOUND, bearer};

const PAIRS: [(&str, &str); 3] = [
    ("Access1", "Secret1"),
    ("Access2", "Secret2"),
    ("Access3", "Secret3"),
];
const KEYS: &str = "access_key = { file = \"access\" }\nsecret_key = { file = \"secret\" }\n";
/// Longer than the test waits between the two files.
const PERIOD: Duration = Duration::from_millis(200);

/// Qiniu with several accounts: a request signed with the key of one is checked with its secret.
struct Qiniu {
    address: SocketAddr,
    /// Requests of each account.
    requests: Arc<[AtomicUsize; 3]>,
}

impl Qiniu {
    async fn start() -> Self {
        let mut accounts = Vec::new();
        for (access_key, secret_key) in PAIRS {
            let emulator = Emulator::bind(EmulatorSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                access_key: Secret::new(access_key),
                secret_key: Secret::new(secret_key),
                second_keys: None,
                scenario: Scenario::Pass,
                latency: Duration::ZERO,
            });
            let emulator = emulator.await.unwrap();
            accounts.push(emulator.address());
            tokio::spawn(emulator.run(std::future::pending()));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let qiniu = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&qiniu.requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (accounts, requests) = (accounts.clone(), Arc::clone(&requests));
                // Some of these end because the gateway closes the connection.
                tokio::spawn(async move { drop(pass_on(stream, &accounts, &requests).await) });
            }
        });
        qiniu
    }

    fn requests(&self, account: usize) -> usize {
        self.requests[account].load(Ordering::SeqCst)
    }
}

/// One request, passed on to the account that it is signed for.
async fn pass_on(
    mut stream: TcpStream,
    accounts: &[SocketAddr],
    requests: &[AtomicUsize; 3],
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
    };
    let mut body = vec![0; field("Content-Length: ").parse().unwrap()];
    stream.read_exact(&mut body).await?;
    let signed = field("Authorization: Qiniu ");
    let account = PAIRS
        .iter()
        .position(|(key, _)| signed.starts_with(&format!("{key}:")))
        .unwrap();
    let mut qiniu = TcpStream::connect(accounts[account]).await?;
    let head = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    qiniu.write_all(head.as_bytes()).await?;
    qiniu.write_all(&body).await?;
    let mut answer = Vec::new();
    qiniu.read_to_end(&mut answer).await?;
    requests[account].fetch_add(1, Ordering::SeqCst);
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// Sends requests without a pause until it is stopped, each of which must succeed. Returns their
/// number.
fn traffic(gateway: &Gateway) -> (Arc<AtomicBool>, Vec<tokio::task::JoinHandle<usize>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let address = gateway.address;
    let tasks = (0..4).map(|number| {
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            let mut count = 0;
            while !stop.load(Ordering::SeqCst) {
                let request = hyper::Request::post(SESSIONCODE)
                    .header("host", "g")
                    .header("authorization", bearer(&format!("user-{number}")))
                    .header("content-type", "application/json");
                let answer = crate::support::send(address, false, request, "{}".into()).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                count += 1;
            }
            count
        })
    });
    let tasks = tasks.collect();
    (stop, tasks)
}

async fn end((stop, tasks): (Arc<AtomicBool>, Vec<tokio::task::JoinHandle<usize>>)) {
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
}

async fn start(folder: &Folder) -> (Qiniu, Gateway) {
    let qiniu = Qiniu::start().await;
    let more = format!("{}{UNBOUND}", identity());
    let gateway = gateway_that_looks(PERIOD, qiniu.address, folder, KEYS, &more).await;
    (qiniu, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_keys_written_one_after_the_other_are_used_as_a_pair() {
    let folder = Folder::with(&[("access", PAIRS[0].0), ("secret", PAIRS[0].1)]);
    let (qiniu, gateway) = start(&folder).await;
    let traffic = traffic(&gateway);
    for account in [1, 2] {
        let old = account - 1;
        until("traffic with the old pair", async || {
            qiniu.requests(old) > 5
        })
        .await;
        folder.write("access", PAIRS[account].0);
        // In the meantime the gateway has polled, and has seen half of the change.
        let before = qiniu.requests(old);
        let looked = std::time::Instant::now() + 3 * PERIOD;
        until("some looks at one half", async || {
            qiniu.requests(old) > before && std::time::Instant::now() > looked
        })
        .await;
        assert_eq!(qiniu.requests(account), 0);
        folder.rename_over("secret", PAIRS[account].1);
        until("traffic with the new pair", async || {
            qiniu.requests(account) > 5
        })
        .await;
        let old_ones = qiniu.requests(old);
        until("more of it", async || qiniu.requests(account) > 20).await;
        assert!(
            qiniu.requests(old) <= old_ones + 4,
            "only what was under way"
        );
    }
    end(traffic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_kubernetes_secret_is_reloaded() {
    let folder = Folder::with(&[]);
    let files = |account: usize| [("access", PAIRS[account].0), ("secret", PAIRS[account].1)];
    folder.publish(&files(0));
    let (qiniu, gateway) = start(&folder).await;
    let traffic = traffic(&gateway);
    for account in [1, 2] {
        until("traffic with the old pair", async || {
            qiniu.requests(account - 1) > 5
        })
        .await;
        folder.publish(&files(account));
        until("traffic with the new pair", async || {
            qiniu.requests(account) > 5
        })
        .await;
    }
    end(traffic).await;
}

#[tokio::test]
async fn a_request_keeps_the_pair_that_it_began_with() {
    let folder = Folder::with(&[("access", PAIRS[0].0), ("secret", PAIRS[0].1)]);
    let (qiniu, gateway) = start(&folder).await;
    let head = format!(
        "POST {SESSIONCODE} HTTP/1.1\r\nHost: g\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
        bearer("user-1")
    );
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    // From here on its signature has begun.
    let mut invitation = [0; 25];
    slow.read_exact(&mut invitation).await.unwrap();
    assert!(invitation.starts_with(b"HTTP/1.1 100"));
    folder.write("access", PAIRS[1].0);
    folder.write("secret", PAIRS[1].1);
    until("the new pair", async || {
        let answer = gateway.post(false, SESSIONCODE, "{}").await;
        assert_eq!(answer.status, 200);
        qiniu.requests(1) > 0
    })
    .await;
    let before = qiniu.requests(0);
    slow.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(qiniu.requests(0), before + 1);
}
