//! Identity providers as they are: tokens and key sets in the form that each of them documents,
//! with the configuration that `docs/identity.md` gives for it.
//!
//! The test reads the configurations from that page, so what operators copy is what is tested.
//! Names and numbers in the tokens are invented, and the keys are made here. One server plays all
//! providers: `https://host/path` is `http://127.0.0.1:PORT/host/path` here, also in the
//! configurations, the tokens and the documents.

mod apps;
mod hosted;
mod keys;
mod own;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE64URL_NOPAD;
use hyper::Request;
use liveness_gateway::emulator::Scenario;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use self::keys::SigningKey;
use crate::support::{
    Answer, Gateway, SECRET, VERDICT, VERIFY, claims, emulator,
    identity::{hasty, timed},
    routes, settings_with, until, verify_body, video,
};

/// A route whose callers need the scope `liveness`. Qiniu has no such path.
const SCOPED: &str = "/v2/scoped";

/// What a provider publishes and issues, and what becomes of it.
struct ProviderCase {
    /// The heading of its configuration in `docs/identity.md`.
    name: &'static str,
    issuer: &'static str,
    /// Where its key set is, and the keys in it.
    keys: (&'static str, Vec<Value>),
    signer: &'static SigningKey,
    /// The header of a token, without `alg`.
    header: Value,
    /// The claims of a token, without `iss`, `iat` and `exp`.
    claims: Value,
    /// The user that a verdict names.
    user: &'static str,
    /// Whether the token grants the scope `liveness`.
    scoped: bool,
    /// Tokens of the same key that must be refused.
    wrong: Vec<WrongToken>,
}

/// A token that must be refused: what it has other than a good one, and what its sender is told.
struct WrongToken {
    what: &'static str,
    /// Members to replace; `null` removes one.
    header: Value,
    claims: Value,
    detail: &'static str,
}

fn wrong(what: &'static str, header: Value, claims: Value, detail: &'static str) -> WrongToken {
    WrongToken {
        what,
        header,
        claims,
        detail,
    }
}

impl ProviderCase {
    /// A token with these changes, as the provider at this address issues it.
    fn token(&self, address: SocketAddr, header: &Value, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut signed_header = json!({"alg": self.signer.algorithm});
        let mut signed_claims = json!({
            "iss": self.issuer, "iat": now.as_secs(), "exp": now.as_secs() + 300,
        });
        for changes in [&self.header, header] {
            change(&mut signed_header, changes);
        }
        for changes in [&self.claims, claims] {
            change(&mut signed_claims, changes);
        }
        let part = |part: &Value| {
            let text = here(address, &part.to_string());
            BASE64URL_NOPAD.encode(text.as_bytes())
        };
        let signed = format!("{}.{}", part(&signed_header), part(&signed_claims));
        let signature = self.signer.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

fn change(members: &mut Value, changes: &Value) {
    let members = members.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
}

/// The same text where all providers are at this address.
fn here(address: SocketAddr, text: &str) -> String {
    text.replace("https://", &format!("http://{address}/"))
}

/// The configurations of `docs/identity.md` by the headings above them.
fn documented() -> BTreeMap<String, String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/identity.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut found = BTreeMap::<_, String>::new();
    let (mut name, mut inside) = ("", false);
    for line in page.lines() {
        match line {
            "```toml" => inside = true,
            "```" => inside = false,
            line if inside => *found.entry(name.to_owned()).or_default() += &format!("{line}\n"),
            line => name = line.strip_prefix("### ").unwrap_or(name),
        }
    }
    found
}

/// Serves the documents of all providers.
async fn serve(cases: &[ProviderCase]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut documents = BTreeMap::new();
    for case in cases {
        let (url, keys) = &case.keys;
        let base = case.issuer.trim_end_matches('/');
        let discovery_url = format!("{base}/.well-known/openid-configuration");
        let discovery = json!({"issuer": case.issuer, "jwks_uri": url});
        let mut publish = |url: &str, document: Value| {
            let path = url.replacen("https://", "/", 1);
            documents.insert(path, here(address, &document.to_string()));
        };
        publish(url, json!({"keys": keys}));
        publish(&discovery_url, discovery);
    }
    let documents = Arc::new(documents);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let documents = Arc::clone(&documents);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let document = documents.get(head.split(' ').nth(1).unwrap());
                let (status, body) = match document {
                    Some(document) => ("200 OK", document.as_str()),
                    None => ("404 Not Found", ""),
                };
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
    });
    address
}

/// A gateway that accepts the tokens of all documented providers at this address.
async fn gateway(address: SocketAddr) -> Gateway {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identities: String = documented().into_values().collect();
    let scoped =
        format!("[[routes]]\npath = \"{SCOPED}\"\nkind = \"plain\"\nscope = \"liveness\"\n");
    let more = here(address, &identities) + VERDICT + &routes() + &scoped;
    let qiniu = format!("endpoint = \"http://{qiniu}\"");
    let secrets = [("APP_TOKEN_SECRET", SECRET)];
    let gateway = Gateway::run(timed(settings_with(&qiniu, "", &more, &secrets), hasty())).await;
    until("all keys", async || {
        gateway.readiness().await.json()["checks"]["keys"] == "ok"
    })
    .await;
    gateway
}

async fn post(gateway: &Gateway, path: &str, token: &str, body: String) -> Answer {
    let request = Request::post(path)
        .header("host", "gateway")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    gateway.send(false, request, body).await
}

#[tokio::test]
async fn tokens_of_each_provider_are_accepted_and_their_near_relatives_refused() {
    let cases = [hosted::cases(), apps::cases(), own::cases()];
    let cases: Vec<_> = cases.into_iter().flatten().collect();
    let documented: BTreeSet<_> = documented().into_keys().collect();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(documented, names, "documented, and tested");
    let address = serve(&cases).await;
    let gateway = gateway(address).await;
    let video = video(0);
    for case in &cases {
        let (name, none) = (case.name, json!({}));
        let token = case.token(address, &none, &none);
        let answer = gateway.ask(&token).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let session = answer.json()["result"]["session_id"].clone();
        let body = verify_body(session.as_str().unwrap(), &video);
        let answer = post(&gateway, VERIFY, &token, body).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let verdict = claims(&gateway, answer.json()["verdict"].as_str().unwrap()).await;
        let issuer = here(address, case.issuer);
        assert_eq!(
            (&verdict["sub"], &verdict["sub_iss"]),
            (&case.user.into(), &issuer.into()),
            "{name}"
        );
        let answer = post(&gateway, SCOPED, &token, "{}".into()).await;
        assert_eq!(answer.status == 403, !case.scoped, "{name}: {answer:?}");
        assert!(!case.wrong.is_empty(), "{name}");
        for wrong in &case.wrong {
            let token = case.token(address, &wrong.header, &wrong.claims);
            let answer = gateway.ask(&token).await;
            let what = format!("{name}, {}: {answer:?}", wrong.what);
            assert_eq!(answer.status, 401, "{what}");
            let problem = answer.json();
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(wrong.detail), "{what}");
        }
    }
}
