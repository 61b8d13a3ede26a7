//! The attacks of `benches/siege` are real, and its normal load is served and judged correctly: all
//! of them at once, small and short, against a gateway in this process.

#[path = "../../benches/compare/api.rs"]
mod api;
#[path = "../../benches/siege/attacks/mod.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod attacks;
#[path = "../../benches/siege/check.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod check;
#[path = "../../benches/siege/clients.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod clients;
#[path = "../../benches/siege/load.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod load;
#[path = "../../benches/siege/requests.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod requests;
#[path = "../../benches/siege/samples.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod samples;

use std::{sync::Arc, time::Duration};

use data_encoding::BASE64;
use liveness_gateway::emulator::Scenario;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use attacks::{
    Attack,
    statuses::StatusCounter,
    wire::{Tally, Target},
};
use check::Judgement;
use clients::Site;
use load::{Load, User};
use samples::{Kind, Outcome, Samples};

use crate::comparison::stats;
use crate::support::{
    Gateway, SESSIONCODE, VERDICT, VERIFY, crowd, emulator, frames, identity, routes,
    settings_with, verify_body, video,
};

/// The share of each attack's connections, so that a test's descriptors are enough.
const SCALE: f64 = 0.002;
const TIME: Duration = Duration::from_millis(1500);

/// A gateway that knows the users of the siege.
async fn gateway() -> Gateway {
    let (upstream, _handle) = emulator(Scenario::Pass).await;
    let identity = identity::section(requests::ISSUER, "secret = { env = \"SIEGE\" }");
    let settings = settings_with(
        &format!("endpoint = \"http://{upstream}\""),
        "",
        &(identity + VERDICT + &routes()),
        &[("SIEGE", requests::SECRET)],
    );
    Gateway::run(settings).await
}

fn load(gateway: &Gateway) -> Arc<Load> {
    let site = Site {
        address: gateway.address,
        tls: None,
        patient: false,
    };
    let users = User::of_the_harness("user", 10).unwrap();
    let video = BASE64.encode(&api::video(2 * 1024 * 1024).unwrap());
    Load::new(site, Arc::new(users), video.into())
}

#[tokio::test]
async fn normal_users_are_served_correctly_beside_all_attacks_at_once() {
    let _alone = crowd::alone().await;
    let gateway = gateway().await;
    let load = load(&gateway);
    let until = Instant::now() + TIME;
    let tokens = (0..50).map(|it| requests::token(requests::SECRET, &format!("attacker-{it}")));
    let target = Target {
        public: gateway.address,
        admin: gateway.admin,
        tls: None,
        tokens: Arc::new(tokens.collect::<Result<_, _>>().unwrap()),
        scale: SCALE,
        until,
    };
    let (mut tasks, mut tallies) = (JoinSet::new(), Vec::new());
    for attack in Attack::all() {
        let (target, tally) = (target.clone(), Arc::new(Tally::default()));
        tallies.push((attack, Arc::clone(&tally)));
        tasks.spawn(async move { attack.run(&target, &tally).await });
    }
    let served = load.rush(4, until).await;
    tasks.join_all().await;
    let samples = load.take_samples();
    assert!(served > 0 && samples.served(Kind::Small) > 0, "{samples:?}");
    assert!(samples.served(Kind::Verify) > 0, "{samples:?}");
    assert_eq!(samples.wrong, 0, "{samples:?}");
    for (attack, tally) in tallies {
        let report = tally.report();
        assert!(report.opened > 0, "{}: {report:?}", attack.name);
        let silent = ["full-house", "descriptors", "admin-silent"].contains(&attack.name);
        assert_eq!(report.bytes > 0, !silent, "{}: {report:?}", attack.name);
    }
}

/// A session and the response to its verify, by a gateway that does its job.
async fn answers() -> (Value, Value) {
    let (upstream, _handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(upstream, "", &(VERDICT.to_owned() + &routes())).await;
    let session = gateway.post(false, SESSIONCODE, "{}").await.json();
    let id = session["result"]["session_id"].as_str().unwrap();
    let verified = gateway
        .post(false, VERIFY, verify_body(id, &video(0)))
        .await;
    (session, verified.json())
}

fn is_wrong(judgement: &Judgement) -> bool {
    matches!(judgement, Judgement::Wrong(_))
}

#[tokio::test]
async fn what_must_never_happen_is_judged_as_wrong() {
    let (session, verified) = answers().await;
    let text = |value: &Value| value.to_string().into_bytes();
    let changed = |value: &Value, path: &str, new: Value| {
        let mut value = value.clone();
        *value.pointer_mut(path).unwrap() = new;
        text(&value)
    };
    assert_eq!(check::session(200, &text(&session)), Judgement::Right);
    assert_eq!(
        check::verify(200, &text(&verified), "user-1"),
        Judgement::Right
    );
    let picture = json!("/9j/".repeat(2000));
    let other = verified["verdict"].as_str().unwrap().replacen('.', ".A", 1);
    for (what, judgement) in [
        (
            "Qiniu's own session id",
            check::session(200, &changed(&session, "/result/session_id", json!("S1"))),
        ),
        (
            "a session's wrong status",
            check::session(401, &text(&session)),
        ),
        ("half a response", check::session(200, b"{\"error_code\":0")),
        (
            "another user's verdict",
            check::verify(200, &text(&verified), "user-2"),
        ),
        (
            "a picture",
            check::verify(200, &changed(&verified, "/result/score", picture), "user-1"),
        ),
        (
            "a changed verdict",
            check::verify(200, &changed(&verified, "/verdict", json!(other)), "user-1"),
        ),
        (
            "an error with a result",
            check::verify(200, &changed(&verified, "/error_code", json!(7)), "user-1"),
        ),
        (
            "another user's session",
            check::foreign(200, &text(&verified)),
        ),
    ] {
        assert!(is_wrong(&judgement), "{what}: {judgement:?}");
    }
    let refusals = [408, 409, 429, 502, 503, 504];
    for status in refusals {
        assert_eq!(check::session(status, b""), Judgement::Refused(status));
    }
}

#[test]
fn every_attack_stands_in_the_documentation() {
    let page = include_str!("../../docs/security.md");
    for attack in Attack::all() {
        assert!(
            page.contains(&format!("`{}`", attack.name)),
            "{}",
            attack.name
        );
    }
}

#[test]
fn statuses_are_counted_wherever_the_reads_are_split() {
    let responses = b"HTTP/1.1 404 Not Found\r\n\r\nHTTP/1.1 401 Unauthorized\r\n\r\n";
    for split in 0..=responses.len() {
        let (tally, mut counter) = (Tally::default(), StatusCounter::default());
        let (front, back) = responses.split_at(split);
        counter.read(front, &tally);
        counter.read(back, &tally);
        let answers = tally.report().answers;
        assert_eq!(answers, [(401, 1), (404, 1)].into(), "{split}");
    }
}

#[test]
fn one_lost_request_in_a_hundred_is_few_and_two_are_not() {
    let mut samples = Samples::default();
    for _ in 0..99 {
        samples.add(Kind::Small, Outcome::Served(0.1));
    }
    samples.add(Kind::Small, Outcome::Lost("503".to_owned()));
    assert!(samples.few_lost(Kind::Small));
    samples.add(Kind::Small, Outcome::Lost("503".to_owned()));
    assert!(!samples.few_lost(Kind::Small));
    assert_eq!(samples.reasons(), "503: 2");
    assert_eq!(samples.percentile(Kind::Small, 0.99), 0.1);
}
