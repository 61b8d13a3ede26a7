//! Evidence: the pictures reach the app's backend before the frontend has its response, and nobody
//! else receives them.

use std::net::SocketAddr;

use crate::support::{
    Answer, Gateway, ISSUER, UNBOUND, VERIFY,
    backend::{self, Backend, Does, OK},
    bearer, claims, routes, sealed,
    upstream::{self, Does as Upstream},
    verify_body, video,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const MARKER: &str = "MARKERofApicture";

/// A passing response with 1 MB of pictures, formatted as no serializer would write it.
fn answer(score: &str) -> String {
    with_pictures_of(MARKER.len() * 8192, score)
}

fn with_pictures_of(bytes: usize, score: &str) -> String {
    let picture = MARKER.repeat(bytes / MARKER.len());
    let image =
        format!(r#"{{ "pic" : "{picture}", "liveness_score" : 1.0, "face_token":"\u0061b" }}"#);
    format!(
        "{{\"error_code\":0,\n \"serverlogid\":0.50e1,\"result\":{{\"score\":{score},\"action_verify\":\"pass\",\
         \"thresholds\":{{\"frr_1e-3\":0.3}},\"best_image\":{image},\"pic_list\":[{}]}}}}\n",
        [image.as_str(); 7].join(" , ")
    )
}

async fn before(answer: &str) -> SocketAddr {
    upstream::start(Upstream::Answer(upstream::answer("200 OK", answer)))
        .await
        .address
}

async fn start(backend: &Backend, more: &str, score: &str) -> Gateway {
    let upstream = before(&answer(score)).await;
    let sections = format!("{UNBOUND}{}{}", backend.sections(more), routes());
    Gateway::start(upstream, "", &sections).await
}

async fn verify(gateway: &Gateway) -> Answer {
    gateway
        .post(false, VERIFY, verify_body("S1", &video(0)))
        .await
}

async fn verdict(gateway: &Gateway, answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    claims(gateway, answer.json()["verdict"].as_str().unwrap()).await
}

/// The `evidence` claim, and whether the verdict is a pass.
async fn outcome(gateway: &Gateway) -> (Value, Value) {
    let claims = verdict(gateway, &verify(gateway).await).await;
    let liveness = &claims["liveness"];
    (liveness["evidence"].clone(), liveness["passed"].clone())
}

#[tokio::test]
async fn the_backend_has_the_whole_response_before_the_frontend_has_its_own() {
    let backend = backend::start(OK).await;
    let gateway = start(&backend, "required = true", "0.9").await;
    let answered = verify(&gateway).await;
    let deliveries = backend.deliveries();
    assert_eq!(deliveries.len(), 1);
    let claims = verdict(&gateway, &answered).await;
    assert_eq!(claims["liveness"]["evidence"], "delivered");
    assert_eq!(claims["liveness"]["passed"], true);
    let delivery = &deliveries[0];
    assert!(delivery.is_signed());
    assert_eq!(delivery.field("webhook-id"), claims["jti"]);
    let body = String::from_utf8(delivery.body.clone()).unwrap();
    assert!(body.ends_with(&format!(",\"passed\":true,\"answer\":{}}}", answer("0.9"))));
    let read = delivery.json();
    assert_eq!(
        (&read["id"], &read["user"], &read["issuer"]),
        (&claims["jti"], &json!("user-1"), &json!(ISSUER))
    );
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("evidence_deliveries_total{outcome=\"delivered\"} 1\n")
            && metrics.contains("liveness_gateway_body_memory_bytes 0\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn pictures_go_to_the_backend_and_nowhere_else() {
    let backend = backend::start(OK).await;
    let gateway = start(&backend, "on = \"always\"", "0.9").await;
    let answered = verify(&gateway).await;
    assert!(String::from_utf8_lossy(&backend.deliveries()[0].body).contains(MARKER));
    let answer = String::from_utf8_lossy(&answered.body).into_owned();
    let claims = verdict(&gateway, &answered).await.to_string();
    gateway.record(VERIFY).await;
    for (what, text) in [
        ("the answer", answer),
        ("the verdict", claims),
        ("the log", gateway.log()),
        ("the metrics", gateway.metrics().await),
        ("the headers", format!("{:?}", answered.headers)),
    ] {
        assert!(
            !text.contains(MARKER) && !text.contains("\"pic\""),
            "{what}"
        );
    }
}

#[tokio::test]
async fn failed_verifies_are_delivered_only_if_configured() {
    let backend = backend::start(OK).await;
    let gateway = start(&backend, "required = true", "0.1").await;
    assert_eq!(outcome(&gateway).await, (Value::Null, json!(false)));
    assert!(backend.deliveries().is_empty());
    let gateway = start(&backend, "on = \"always\"", "0.1").await;
    assert_eq!(outcome(&gateway).await, (json!("delivered"), json!(false)));
    assert_eq!(backend.deliveries()[0].json()["passed"], false);
}

#[tokio::test]
async fn evidence_that_the_backend_rejects_is_undelivered() {
    for (does, tries) in [
        (Does::Answers("HTTP/1.1 401 x\r\n\r\n"), 1),
        (Does::Answers("HTTP/1.1 500 x\r\n\r\n"), 2),
        (Does::Answers("HTTP/1.1 100 x\r\n\r\n"), 2),
        (Does::Answers("ok\r\n\r\n"), 2),
        (Does::Answers(""), 2),
        (Does::Hangs, 1),
    ] {
        let backend = backend::start(does).await;
        // Short for the backend that hangs, long enough for the pause before the second attempt.
        let gateway = start(&backend, "timeout = \"800ms\"", "0.9").await;
        assert_eq!(outcome(&gateway).await, (json!("undelivered"), json!(true)));
        let deliveries = backend.deliveries();
        assert_eq!(deliveries.len(), tries);
        if let [one, two] = &deliveries[..] {
            assert_eq!(one.field("webhook-id"), two.field("webhook-id"));
            assert!(one.body == two.body && two.is_signed());
        }
        let metrics = gateway.metrics().await;
        assert!(metrics.contains("evidence_deliveries_total{outcome=\"undelivered\"} 1\n"));
    }
}

#[tokio::test]
async fn an_acknowledgement_before_the_delivery_is_not_trusted() {
    let backend = backend::start(Does::AnswersEarly("HTTP/1.1 204 No Content\r\n\r\n")).await;
    // More than the buffers of the sockets hold.
    let upstream = before(&with_pictures_of(1_600_000, "0.9")).await;
    let sections = format!(
        "{UNBOUND}{}{}",
        backend.sections("timeout = \"5s\""),
        routes()
    );
    let gateway = Gateway::start(upstream, "", &sections).await;
    assert_eq!(outcome(&gateway).await, (json!("undelivered"), json!(true)));
}

#[tokio::test]
async fn required_evidence_that_is_undelivered_fails_the_verdict() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut nobody = backend::start(OK).await;
    nobody.address = listener.local_addr().unwrap();
    drop(listener);
    for (required, passed) in [(true, false), (false, true)] {
        let gateway = start(&nobody, &format!("required = {required}"), "0.9").await;
        assert_eq!(
            outcome(&gateway).await,
            (json!("undelivered"), json!(passed))
        );
    }
    let refusing = backend::start(Does::Answers("HTTP/1.1 403 x\r\n\r\n")).await;
    let gateway = start(&refusing, "required = true", "0.9").await;
    assert_eq!(
        outcome(&gateway).await,
        (json!("undelivered"), json!(false))
    );
    // The backend received Qiniu's result; the verdict decides.
    assert_eq!(refusing.deliveries()[0].json()["passed"], true);
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("verdicts_total{passed=\"false\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = backend::start(OK).await;
    let location = format!(
        "HTTP/1.1 307 x\r\nLocation: http://{}/liveness\r\n\r\n",
        elsewhere.address
    );
    let backend = backend::start(Does::Answers(location.leak())).await;
    let gateway = start(&backend, "", "0.9").await;
    assert_eq!(outcome(&gateway).await, (json!("undelivered"), json!(true)));
    assert_eq!(
        (backend.deliveries().len(), elsewhere.deliveries().len()),
        (1, 0)
    );
}

#[tokio::test]
async fn bodies_that_fill_their_memory_do_not_make_a_billed_pass_fail() {
    let backend = backend::start(OK).await;
    let upstream = before(&answer("0.9")).await;
    let routes = routes().replacen(
        "kind = \"verify\"",
        "kind = \"verify\"\nmax_body = \"100KiB\"",
        1,
    );
    let sections = format!("{UNBOUND}{}{routes}", backend.sections("required = true"));
    // The response is larger than the memory for bodies.
    let gateway = Gateway::start(upstream, "body_memory = \"200KiB\"", &sections).await;
    assert_eq!(outcome(&gateway).await, (json!("delivered"), json!(true)));
    assert_eq!(backend.deliveries().len(), 1);
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("liveness_gateway_body_memory_bytes 0\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_caller_that_disconnects_does_not_stop_the_delivery() {
    let backend = backend::start(Does::Waits).await;
    let gateway = start(&backend, "timeout = \"60s\"", "0.9").await;
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json");
    let body = verify_body("S1", &video(0));
    let caller = tokio::spawn(crate::support::send(
        gateway.address,
        false,
        request,
        body.into(),
    ));
    backend.arrived.notified().await;
    caller.abort();
    gateway.until_metrics_have("requests_in_flight 0").await;
    backend.answer.notify_one();
    for _ in 0..1000 {
        if gateway
            .metrics()
            .await
            .contains("verdicts_total{passed=\"true\"} 1\n")
        {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("no verdict was made");
}

#[tokio::test]
async fn a_retry_gets_the_first_verdict_and_the_backend_no_second_delivery() {
    let backend = backend::start(OK).await;
    let upstream = before(&answer("0.9")).await;
    let sections = [
        sealed::SETTINGS,
        &backend.sections("required = true"),
        &routes(),
    ];
    let gateway = Gateway::start(upstream, "", &sections.concat()).await;
    let body = verify_body(&sealed::fresh(upstream, "S1"), &video(0));
    let first = gateway.post(false, VERIFY, body.clone()).await;
    let claims = verdict(&gateway, &first).await;
    assert_eq!(claims["liveness"]["evidence"], "delivered");
    let again = gateway.post(true, VERIFY, body).await;
    assert_eq!((again.status, again.body), (first.status, first.body));
    assert_eq!(backend.deliveries().len(), 1);
}
