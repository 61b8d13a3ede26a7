//! However a connection to Qiniu breaks, the caller gets the right response, the video is sent at
//! most once, and all that the call held is given back.

mod cases;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use self::cases::{
    Case, PASS,
    Retry::{Passes, Replayed, Unknown},
    breaks, delays, early_responses,
};
use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, VERIFY, routes,
    sealed::{self, fresh},
    until,
    upstream::scripted::{Scripted, Step::Meet, good},
    verify_body,
};
use tokio::{sync::Barrier, task::JoinSet};

/// Connections, and calls of one user, that there may be at once.
const MOST: usize = 16;

/// A gateway whose permits are few.
async fn gateway(upstream: SocketAddr, timeout: &str) -> Arc<Gateway> {
    let routes = routes()
        .replace("timeout = \"20s\"", &format!("timeout = \"{timeout}\""))
        .replace(
            "concurrent_per_user = 100",
            &format!("concurrent_per_user = {MOST}"),
        );
    let qiniu = format!("endpoint = \"http://{upstream}\"\nmax_connections = {MOST}");
    let sections = sealed::SETTINGS.to_owned() + &routes;
    Arc::new(Gateway::start_at(&qiniu, "", &sections).await)
}

/// Makes a call, then a retry with an upstream that answers well, and checks both.
async fn try_twice(gateway: &Gateway, qiniu: &Scripted, case: &Case, number: usize, size: usize) {
    let id = fresh(qiniu.address, &format!("S{number}"));
    let upload = verify_body(&id, &vec![b'v'; size]);
    let label = &case.label;
    let first = gateway
        .post(number.is_multiple_of(2), VERIFY, upload.clone())
        .await;
    let code = if first.status == 200 {
        ""
    } else {
        &first.code()
    };
    let told = (first.status.as_u16(), code);
    assert_eq!(told, (case.status, case.code), "{label}");
    if case.retry == Passes {
        qiniu.follow_scripts([good(PASS).into()]);
    }
    let retry = match case.retry {
        Replayed => upload,
        // What is sent makes no difference.
        Unknown | Passes => verify_body(&id, b"v"),
    };
    let again = gateway.post(!number.is_multiple_of(2), VERIFY, retry).await;
    match case.retry {
        Unknown => assert_eq!(again.code(), "outcome_unknown", "{label}"),
        Passes => assert_eq!(again.body, PASS, "{label}"),
        Replayed => assert_eq!(
            (again.status, again.body),
            (first.status, first.body),
            "{label}"
        ),
    }
}

/// Makes as many calls as there may be at once, and lets none end before all have come. Returns
/// whether they came within their timeout.
async fn all_at_once(gateway: &Arc<Gateway>, qiniu: &Scripted, round: usize) -> bool {
    let barrier = Arc::new(Barrier::new(MOST));
    let [request, response] = good(PASS);
    qiniu.follow_scripts([vec![request, Meet(barrier), response]]);
    let mut calls = JoinSet::new();
    for number in 0..MOST {
        let id = fresh(qiniu.address, &format!("{round}-{number}"));
        let (gateway, upload) = (Arc::clone(gateway), verify_body(&id, b"v"));
        calls.spawn(async move { gateway.post(false, VERIFY, upload).await.body });
    }
    calls.join_all().await.iter().all(|body| body == PASS)
}

/// Checks that nothing is held any more.
async fn all_is_given_back(gateway: &Arc<Gateway>, qiniu: &Scripted) {
    let mut round = 0;
    while !all_at_once(gateway, qiniu, round).await {
        // This machine may be busy.
        round += 1;
        assert!(round < 5, "a permit is missing");
    }
    gateway.until_metrics_have("body_memory_bytes 0").await;
    gateway.until_metrics_have("requests_in_flight 0").await;
    until("all connections are closed", async || {
        qiniu.open.load(Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_has_one_meaning_and_costs_one_call() {
    let qiniu = Scripted::start().await;
    let gateway = gateway(qiniu.address, "20s").await;
    let small = breaks().into_iter().map(|case| (case, 3000));
    let large = early_responses().into_iter().map(|case| (case, 4 << 20));
    for (number, (case, size)) in small.chain(large).enumerate() {
        let before = qiniu.begun.load(Ordering::SeqCst);
        qiniu.follow_scripts([case.script.clone()]);
        try_twice(&gateway, &qiniu, &case, number, size).await;
        let sent = qiniu.begun.load(Ordering::SeqCst) - before;
        let most = if case.retry == Passes { 2 } else { 1 };
        assert!(sent <= most, "{}: sent {sent} times", case.label);
    }
    all_is_given_back(&gateway, &qiniu).await;
}

#[tokio::test]
async fn a_response_that_does_not_end_costs_the_route_s_timeout() {
    let qiniu = Scripted::start().await;
    let gateway = gateway(qiniu.address, "1s").await;
    let given_up = Arc::new(Barrier::new(2));
    let (unread, others) = delays(&given_up);
    qiniu.follow_scripts([unread.script.clone()]);
    let mut calls = JoinSet::new();
    let mut begin = |number: usize, case: Case, size| {
        let (gateway, qiniu) = (Arc::clone(&gateway), Arc::clone(&qiniu));
        calls.spawn(async move { try_twice(&gateway, &qiniu, &case, number, size).await });
    };
    // Too large for the buffers between, so it can't be sent.
    begin(0, unread, 12 << 20);
    until("the first call", async || {
        qiniu.open.load(Ordering::SeqCst) > 0
    })
    .await;
    qiniu.follow_scripts(others.iter().map(|case| case.script.clone()));
    for (number, case) in others.into_iter().enumerate() {
        begin(number + 1, case, 3000);
    }
    let count = calls.len();
    calls.join_all().await;
    given_up.wait().await;
    assert!(qiniu.begun.load(Ordering::SeqCst) <= count);
    all_is_given_back(&gateway, &qiniu).await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_makes_qiniu_unreachable() {
    let sections = UNBOUND.to_owned() + &routes();
    let endpoint = "endpoint = \"https://qiniu.invalid\"";
    let gateway = Gateway::start_at(endpoint, "", &sections).await;
    for (path, body) in [(SESSIONCODE, "{}"), (VERIFY, &verify_body("S", b"v"))] {
        let answer = gateway.post(false, path, body.to_owned()).await;
        let told = (answer.status.as_u16(), answer.code());
        assert_eq!(told, (502, "upstream_unreachable".to_owned()));
    }
}
