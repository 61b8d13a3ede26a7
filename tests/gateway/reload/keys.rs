//! Keys of every section are changed one after the other under traffic, and each is seen to take
//! effect.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use hyper::Request;
use liveness_gateway::emulator::{EmulatorHandle, Scenario};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Reloaded, configuration, value};
use crate::support::{
    Answer, Gateway, SESSIONCODE, VERDICT, VERIFY, bearer, claims, emulator, send, session,
    verify_body, video,
};

/// The routes: the one of the traffic, and the one that is changed.
fn routes() -> String {
    format!(
        "[server.cors]\nallowed_origins = []\n\
         [sessions]\nseal_key = {{ env = \"SEAL\" }}\n\
         [log]\nformat = \"json\"\n\
         [[routes]]\npath = \"{SESSIONCODE}\"\nkind = \"session\"\nrate = \"1000/s\"\nburst = 1000\n\
         concurrent_per_user = 100\n\
         [[routes]]\npath = \"{VERIFY}\"\nkind = \"verify\"\nrate = \"1000/s\"\nburst = 1000\n\
         quota = \"\"\nscope = \"\"\nmax_body = \"28MiB\"\nvideo_check = \"report\"\n"
    )
}

/// What is looked at, from outside.
enum Probe {
    /// The policy of the user's limits.
    Policy,
    /// The code of the response to a broken upload of so many bytes.
    Upload(usize),
    /// The origin that may read the responses.
    Origin,
    /// Whose request id a connection from before all changes gets.
    RequestId,
    /// The status for a head with a field of so many bytes.
    Head(usize),
    /// The members of a session's response.
    Members,
    /// A sample in the metrics.
    Metric(&'static str),
    /// The audience of the verdict on a video; none without one.
    Verdict,
    /// The code of a video that Qiniu would refuse.
    WrongVideo,
    /// How many requests the second Qiniu has had.
    OtherQiniu,
    /// How the last access record begins.
    Record,
}

struct Looker {
    /// A connection from before all changes.
    kept: TcpStream,
    other: Arc<EmulatorHandle>,
}

impl Looker {
    async fn look(&mut self, gateway: &Gateway, probe: &Probe) -> String {
        match probe {
            Probe::Policy => broken(gateway, 2).await.header("ratelimit-policy").into(),
            Probe::Upload(size) => broken(gateway, *size).await.code(),
            Probe::Origin => {
                let request = gateway
                    .request(false, "OPTIONS", VERIFY)
                    .header("origin", "https://app.example.com")
                    .header("access-control-request-method", "POST");
                let answer = gateway.send(false, request, "").await;
                answer.header("access-control-allow-origin").into()
            }
            Probe::RequestId => self.request_id().await,
            Probe::Head(size) => {
                let request = gateway
                    .request(false, "GET", "/none")
                    .header("x-long", "x".repeat(*size));
                gateway
                    .send(false, request, "")
                    .await
                    .status
                    .as_u16()
                    .to_string()
            }
            Probe::Members => {
                let answer = gateway.post(false, SESSIONCODE, "{}").await.json();
                let members = answer.as_object().unwrap().keys().cloned();
                members.collect::<Vec<_>>().join(",")
            }
            Probe::Metric(sample) => value(&gateway.metrics().await, sample).into(),
            Probe::Verdict => match verify(gateway, &video(0)).await.json().get("verdict") {
                Some(verdict) => {
                    claims(gateway, verdict.as_str().unwrap()).await["aud"].to_string()
                }
                None => "none".into(),
            },
            Probe::WrongVideo => verify(gateway, &[7; 999]).await.code(),
            Probe::OtherQiniu => {
                session(gateway).await;
                (self.other.session_calls() > 0).to_string()
            }
            Probe::Record => {
                session(gateway).await;
                gateway.log().lines().last().unwrap_or_default()[..5].into()
            }
        }
    }

    /// Asks for a path that is not there over the connection that is kept.
    async fn request_id(&mut self) -> String {
        let request = "GET /none HTTP/1.1\r\nHost: g\r\nX-Request-Id: mine\r\n\r\n";
        self.kept.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            answer.push(self.kept.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        let is_mine = answer.to_lowercase().contains("x-request-id: mine\r\n");
        format!("{is_mine} {}", &answer[9..12])
    }
}

async fn verify(gateway: &Gateway, video: &[u8]) -> Answer {
    let body = verify_body(&session(gateway).await, video);
    gateway.post(false, VERIFY, body).await
}

/// The response to an upload of so many bytes that is no upload.
async fn broken(gateway: &Gateway, size: usize) -> Answer {
    gateway.post(false, VERIFY, "[".repeat(size)).await
}

/// Requests without a pause, each of which must succeed, until it is stopped.
struct Traffic {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    count: Arc<AtomicUsize>,
}

impl Traffic {
    fn start(address: SocketAddr) -> Self {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let tasks = (0..2).map(|number| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let request = Request::post(SESSIONCODE)
                        .header("host", "g")
                        .header("authorization", bearer(&format!("steady-{number}")))
                        .header("content-type", "application/json");
                    let answer = send(address, false, request, "{}".into()).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let tasks = tasks.collect();
        Self { stop, tasks, count }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        assert!(self.count.load(Ordering::SeqCst) > 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_changed_key_is_seen_to_take_effect_under_traffic() {
    use Probe::{
        Head, Members, Metric, Origin, OtherQiniu, Policy, Record, RequestId, Upload, Verdict,
        WrongVideo,
    };
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let (other, handle) = emulator(Scenario::Pass).await;
    let mut file = Reloaded::start(configuration(qiniu, &routes())).await;
    let address = file.gateway.address;
    let traffic = Traffic::start(address);
    let mut looker = Looker {
        kept: TcpStream::connect(address).await.unwrap(),
        other: handle,
    };
    let endpoints = [qiniu, other].map(|address| format!("endpoint = \"http://{address}\""));
    let verdict = format!("{VERDICT}[log]");
    let fields = "kind = \"session\"\nresponse.fields = [\"result\"]";
    let places = "max_connections = 250";
    let with = |key: &str| format!("{places}\n{key}");
    // What a row finds may be what an earlier row has put there.
    #[rustfmt::skip]
    let rows: [(&str, &str, Probe, &str, &str); 19] = [
        ("burst = 1000\nquota", "burst = 7\nquota", Policy, "\"user\";q=1000;w=1", "\"user\";q=7;w=1"),
        ("quota = \"\"", "quota = \"9/day\"", Policy, "\"user\";q=7;w=1", "\"user\";q=7;w=1, \"quota\";q=9;w=86400"),
        ("quota = \"9/day\"", "quota = \"\"", Policy, "\"user\";q=7;w=1, \"quota\";q=9;w=86400", "\"user\";q=7;w=1"),
        ("burst = 7\nquota", "burst = 1000\nquota", Policy, "\"user\";q=7;w=1", "\"user\";q=1000;w=1"),
        ("scope = \"\"", "scope = \"faces\"", Upload(2), "malformed_request", "insufficient_scope"),
        ("scope = \"faces\"", "scope = \"\"", Upload(2), "insufficient_scope", "malformed_request"),
        ("max_body = \"28MiB\"", "max_body = \"1KiB\"", Upload(2000), "malformed_request", "body_too_large"),
        ("max_body = \"1KiB\"", "max_body = \"28MiB\"", Upload(2000), "body_too_large", "malformed_request"),
        ("[log]", &verdict, Verdict, "none", "\"backend\""),
        ("video_check = \"report\"", "video_check = \"enforce\"", WrongVideo, "", "video_rejected"),
        ("allowed_origins = []", "allowed_origins = [\"https://app.example.com\"]", Origin, "", "https://app.example.com"),
        ("max_connections = 300", places, Metric("connections_limit"), "300", "250"),
        (places, &with("body_memory = \"64MiB\""), Metric("body_memory_limit_bytes"), "536870912", "67108864"),
        (places, &with("trusted_proxies = [\"127.0.0.1\"]"), RequestId, "false 404", "true 404"),
        ("trusted_proxies = [\"127.0.0.1\"]", "trusted_proxies = []", RequestId, "true 404", "false 404"),
        (places, &with("max_head_bytes = \"4KiB\""), Head(5000), "404", "431"),
        (&endpoints[0], &endpoints[1], OtherQiniu, "false", "true"),
        ("kind = \"session\"", fields, Members, "error_code,error_msg,result,serverlogid", "result"),
        ("format = \"json\"", "format = \"text\"", Record, "{\"tim", "time="),
    ];
    for (from, to, probe, before, after) in &rows {
        let seen = looker.look(&file.gateway, probe).await;
        assert_eq!(seen, *before, "before {to}");
        file.change(from, to).await;
        let seen = looker.look(&file.gateway, probe).await;
        assert_eq!(seen, *after, "after {to}");
    }
    traffic.end().await;
}
