//! The whole journey on real input: real videos, a strict emulator, and what each side receives.

use crate::support::{
    Gateway, SESSIONCODE, VERIFY, bearer, emulator, raw, routes, send, session, until,
    upstream::{self, Does},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;
use sha2::{Digest, Sha256};

#[tokio::test]
async fn a_live_person_passes_and_no_picture_leaves() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for http2 in [false, true] {
        let body = verify_body(&session(&gateway).await, &video(0));
        let answer = gateway.post(http2, VERIFY, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "application/json")
        );
        let result = &answer.json()["result"];
        assert_eq!(result["action_verify"], "pass");
        assert_eq!(result["pic_list"].as_array().unwrap().len(), 8);
        assert!(result["best_image"]["liveness_score"].is_number());
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            !text.contains("\"pic\"") && !text.contains("/9j/"),
            "{text}"
        );
        assert!(answer.body.len() < 8192);
    }
    assert_eq!((handle.verify_calls(), handle.signature_failures()), (2, 0));
    let record = gateway.record(VERIFY).await;
    assert!(record["removed_bytes"].as_u64().unwrap() > 800_000);
    assert!(record["qiniu_reqid"].is_string() && record["qiniu_serverlogid"].is_string());
}

#[tokio::test]
async fn qiniu_gets_the_caller_s_bytes_and_only_the_gateway_s_headers() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::unbound(qiniu).await;
    let base64 = data_encoding::BASE64.encode(&video(0)).replace('/', "\\/");
    let kept = format!(
        "{{ \"session_id\" :\"{}\",\n\"video_base64\":\"{base64}\" , \"face_field\":\"spoofing,quality\" }}",
        session(&gateway).await
    );
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer("u"))
        .header("content-type", "application/json; charset=utf-8")
        .header("x-qiniu-evil", "1")
        .header("cookie", "a=b");
    assert_eq!(
        gateway.send(false, request, kept.clone()).await.json()["error_code"],
        0
    );
    assert_eq!(
        handle.last_body_sha256().unwrap(),
        <[u8; 32]>::from(Sha256::digest(&kept))
    );
    let mut names = handle.last_header_names();
    names
        .iter_mut()
        .for_each(|name| name.make_ascii_lowercase());
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-qiniu-date"
        ]
    );
    assert_eq!(
        handle.last_content_type().as_deref(),
        Some("application/json")
    );

    let id = session(&gateway).await;
    let base64 = data_encoding::BASE64.encode(&video(0));
    let more = format!(
        "{{\"type_identify\":\"voice\",\"session_id\":\"{id}\",\"x\":[1,{{}}],\"video_base64\":\"{base64}\",\"z\":null}}"
    );
    assert_eq!(
        gateway.post(true, VERIFY, more).await.json()["error_code"],
        0
    );
    let wanted = format!("{{\"session_id\":\"{id}\",\"video_base64\":\"{base64}\"}}");
    assert_eq!(
        handle.last_body_sha256().unwrap(),
        <[u8; 32]>::from(Sha256::digest(wanted))
    );
}

#[tokio::test]
async fn an_empty_session_request_is_forwarded_as_an_empty_object() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for http2 in [false, true] {
        let bare = gateway
            .request(http2, "POST", SESSIONCODE)
            .header("authorization", bearer("u"));
        assert_eq!(gateway.send(http2, bare, "").await.json()["error_code"], 0);
        assert_eq!(
            handle.last_body_sha256().unwrap(),
            <[u8; 32]>::from(Sha256::digest("{}"))
        );
    }
}

#[tokio::test]
async fn twenty_mebibytes_pass_and_one_byte_over_the_cap_does_not() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for http2 in [false, true] {
        let body = verify_body(&session(&gateway).await, &video(20 << 20));
        assert_eq!(
            gateway.post(http2, VERIFY, body).await.json()["error_code"],
            0
        );
        let mut body = verify_body(&session(&gateway).await, &video(0)).into_bytes();
        body.extend(vec![b' '; (28 << 20) - body.len()]);
        assert_eq!(
            gateway.post(http2, VERIFY, body.clone()).await.json()["error_code"],
            0
        );
        body.push(b' ');
        assert_eq!(gateway.post(http2, VERIFY, body).await.status, 413);
    }
    assert_eq!(handle.verify_calls(), 4);
}

#[tokio::test]
async fn a_route_to_another_qiniu_endpoint_works_the_same() {
    let reply = upstream::answer(
        "200 OK",
        "{\"code\":1,\"image\":{\"data\":\"SECRETPICTURE\"},\"ok\":1.0}",
    );
    let other = upstream::start(Does::Answer(reply)).await;
    let plain =
        "[[routes]]\npath = \"/v1/face\"\nkind = \"plain\"\nresponse.remove = [\"image.data\"]\n";
    let gateway = Gateway::start(other.address, "", plain).await;
    for http2 in [false, true] {
        let answer = gateway.post(http2, "/v1/face", "{\"any\":\"field\"}").await;
        assert_eq!(
            answer.body.as_ref(),
            b"{\"code\":1,\"image\":{},\"ok\":1.0}"
        );
    }
    let twice = gateway.post(false, "/v1/face", "{\"a\":1,\"a\":2}").await;
    assert_eq!(twice.code(), "malformed_request");
}

#[tokio::test]
async fn a_request_under_way_finishes_when_the_gateway_stops() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let mut gateway = Gateway::plain(qiniu).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let (first, rest) = body.split_at(1000);
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let lines = format!("Content-Length: {}", body.len());
    let head = raw::head("user-1", VERIFY, &lines);
    let mut stream = raw::begin(gateway.address, &(head + first)).await;
    gateway.until_metrics_have("requests_in_flight 1").await;
    gateway.stop();
    until("the listener is closed", async || {
        tokio::net::TcpStream::connect(gateway.address)
            .await
            .is_err()
    })
    .await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"action_verify\":\"pass\""),
        "{answer}"
    );
    assert_eq!((&mut gateway.ended).await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_request_that_outlasts_the_stop_gets_an_error() {
    for http2 in [false, true] {
        let qiniu = upstream::start(Does::Hang).await;
        let mut gateway =
            Gateway::start(qiniu.address, "drain_timeout = \"100ms\"", &routes()).await;
        let request = gateway
            .request(http2, "POST", SESSIONCODE)
            .header("authorization", bearer("u"))
            .header("content-type", "application/json");
        let asking = tokio::spawn(send(gateway.address, http2, request, "{}".into()));
        qiniu.until_requests(1).await;
        gateway.stop();
        let answer = asking.await.unwrap();
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.code(),
                answer.header("retry-after")
            ),
            (503, "shutting_down".into(), "1")
        );
        assert_eq!((&mut gateway.ended).await.unwrap().cut, 1);
    }
}

#[tokio::test]
async fn a_stop_abandons_the_call_of_a_disconnected_caller_at_its_deadline() {
    let qiniu = upstream::start(Does::Hang).await;
    let mut gateway = Gateway::start(qiniu.address, "drain_timeout = \"100ms\"", &routes()).await;
    let request = raw::whole("u", SESSIONCODE, "{}");
    let stream = raw::begin(gateway.address, &request).await;
    qiniu.until_requests(1).await;
    drop(stream);
    gateway.stop();
    let ended = (&mut gateway.ended).await.unwrap();
    assert_eq!((ended.cut, ended.lost), (0, 1));
}

#[tokio::test]
async fn the_access_record_has_what_a_trusted_proxy_forwards() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "trusted_proxies = [\"127.0.0.1\"]", &routes()).await;
    let request = gateway
        .request(false, "POST", SESSIONCODE)
        .header("x-request-id", "from-the-proxy")
        .header("x-forwarded-for", "192.0.2.7");
    let answer = gateway.send(false, request, "{}").await;
    assert_eq!(answer.header("x-request-id"), "from-the-proxy");
    assert_eq!(
        gateway.record("from-the-proxy").await["forwarded_for"],
        "192.0.2.7"
    );
}
