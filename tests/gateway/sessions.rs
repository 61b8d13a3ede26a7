//! A session id works for the user whom it was given to, for five minutes, and for nobody else.
//! Members that the operator pins are forwarded whatever the frontend sends.

use std::time::Duration;

use crate::support::{
    Answer, Gateway, SESSIONCODE, VERIFY, bearer, emulator, raw,
    refusal::told,
    routes,
    sealed::{self, KEY, OTHER_KEY, sealed},
    session, verify_body, video,
};
use liveness_gateway::emulator::Scenario;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

const MINUTES: Duration = Duration::from_secs(60);

async fn post_as(gateway: &Gateway, user: &str, body: String) -> Answer {
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer(user))
        .header("content-type", "application/json");
    gateway.send(false, request, body).await
}

async fn post_raw(gateway: &Gateway, user: &str, id: &str, video: &[u8]) -> Answer {
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer(user))
        .header("content-type", "video/mp4")
        .header("liveness-session", id);
    gateway.send(false, request, video.to_vec()).await
}

#[tokio::test]
async fn a_session_id_of_another_user_is_rejected_before_qiniu() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let id = session(&gateway).await;
    let stolen = post_as(&gateway, "thief", verify_body(&id, &video(0))).await;
    told(&stolen, 403, "session_rejected");
    told(
        &post_raw(&gateway, "thief", &id, &video(0)).await,
        403,
        "session_rejected",
    );
    assert_eq!(handle.verify_calls(), 0);
    // The attempt did not harm the owner's session either.
    let answer = gateway
        .post(false, VERIFY, verify_body(&id, &video(0)))
        .await;
    assert_eq!(answer.json()["error_code"], 0);
    assert_eq!(handle.verify_calls(), 1);
    // The response cached for the owner is not for the thief either.
    let stolen = post_as(&gateway, "thief", verify_body(&id, &video(0))).await;
    told(&stolen, 403, "session_rejected");
}

#[tokio::test]
async fn a_wrong_session_id_before_the_video_is_rejected_before_the_video_arrives() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let id = session(&gateway).await;
    let half = raw::head("thief", VERIFY, "Content-Length: 5000000")
        + &format!("{{\"session_id\":\"{id}\",\"video_base64\":\"AAAA");
    let mut stream = raw::begin(gateway.address, &half).await;
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403 ");
}

#[tokio::test]
async fn every_foreign_session_id_gets_the_same_response() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let more = format!("{}{}", sealed::SETTINGS, routes());
    let gateway = Gateway::start(qiniu, "", &more).await;
    let good = session(&gateway).await;
    let elsewhere = "127.0.0.1:1".parse().unwrap();
    let ids = [
        "S659e4a5cc8a91b1f2c33d0".to_owned(),
        "lg1.".to_owned(),
        good[..good.len() - 1].to_owned(),
        good.replace("lg1.", "lg1_"),
        sealed(OTHER_KEY, qiniu, "user-1", "S1", Duration::ZERO),
        sealed(KEY, elsewhere, "user-1", "S1", Duration::ZERO),
        sealed(KEY, qiniu, "user-2", "S1", Duration::ZERO),
        sealed(KEY, qiniu, "user-2", "S1", 10 * MINUTES),
        sealed(OTHER_KEY, qiniu, "user-1", "S1", 10 * MINUTES),
    ];
    let mut details = std::collections::HashSet::new();
    for id in ids {
        for answer in [
            gateway
                .post(true, VERIFY, verify_body(&id, &video(0)))
                .await,
            post_raw(&gateway, "user-1", &id, &video(0)).await,
        ] {
            told(&answer, 403, "session_rejected");
            details.insert(answer.json()["detail"].to_string());
        }
    }
    for id in ["\\u0000", "lg1.\\ud83d\\ude00", &"A".repeat(5000)] {
        let body = verify_body(id, &video(0));
        let answer = gateway.post(false, VERIFY, body).await;
        told(&answer, 403, "session_rejected");
        details.insert(answer.json()["detail"].to_string());
    }
    assert_eq!(details.len(), 1);
    assert_eq!(handle.verify_calls(), 0);
}

#[tokio::test]
async fn a_session_expires_five_minutes_after_its_request() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let more = format!("{}{}", sealed::SETTINGS, routes());
    let gateway = Gateway::start(qiniu, "", &more).await;
    for (age, gone) in [
        (4 * MINUTES, false),
        (5 * MINUTES, true),
        (60 * MINUTES, true),
    ] {
        let id = sealed(KEY, qiniu, "user-1", "S1", age);
        let answer = gateway
            .post(false, VERIFY, verify_body(&id, &video(0)))
            .await;
        if gone {
            told(&answer, 410, "session_expired");
            let raw = post_raw(&gateway, "user-1", &id, &video(0)).await;
            told(&raw, 410, "session_expired");
        } else {
            // The emulator never issued this id.
            assert_eq!(answer.json()["error_code"], 216_502);
        }
    }
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn only_qiniu_sees_its_own_session_id() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let more = format!("{}{}", sealed::SETTINGS, routes());
    let gateway = Gateway::start(qiniu, "", &more).await;
    let id = session(&gateway).await;
    assert!(id.starts_with("lg1."), "{id}");
    let base64 = data_encoding::BASE64.encode(&video(0));
    for (number, front, back) in [
        (1, "{\"session_id\":", ",\"video_base64\":"),
        (
            2,
            "{ \"session\\u005fid\"\t:  ",
            " ,\n\"x\":\"\",\"video_base64\": ",
        ),
    ] {
        let known = format!("S\"of-Qiniu\\{number}");
        let known = sealed(KEY, qiniu, "user-1", &known, Duration::ZERO);
        let body = |id: &str| format!("{front}\"{id}\"{back}\"{base64}\"}}");
        gateway.post(false, VERIFY, body(&known)).await;
        let wanted = body(&format!("S\\\"of-Qiniu\\\\{number}"));
        let wanted = wanted.replace("\n\"x\":\"\",", "");
        assert_eq!(
            handle.last_body_sha256().unwrap(),
            <[u8; 32]>::from(Sha256::digest(wanted))
        );
    }
    gateway
        .post(false, VERIFY, verify_body(&id, &video(0)))
        .await;
    let log = gateway.log();
    assert!(!log.contains("lg1.") && !log.contains("of-Qiniu"), "{log}");
}

#[tokio::test]
async fn a_raw_upload_names_its_session_in_a_header_and_is_the_same_upload_as_the_json() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let id = session(&gateway).await;
    let first = post_raw(&gateway, "user-1", &id, &video(0)).await;
    assert_eq!(first.json()["error_code"], 0, "{first:?}");
    for again in [
        post_raw(&gateway, "user-1", &id, &video(0)).await,
        gateway
            .post(true, VERIFY, verify_body(&id, &video(0)))
            .await,
    ] {
        assert_eq!(again.body, first.body);
    }
    let other = post_raw(&gateway, "user-1", &id, &video(200_000)).await;
    told(&other, 409, "session_used");
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn seal_keys_change_without_a_lost_session() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let keys = [
        "[sessions]\nseal_key = { env = \"SEAL\" }\n",
        "[sessions]\nseal_key = { env = \"SEAL\" }\nprevious_seal_key = { env = \"OTHER_SEAL\" }\n",
        "[sessions]\nseal_key = { env = \"OTHER_SEAL\" }\nprevious_seal_key = { env = \"SEAL\" }\n",
        "[sessions]\nseal_key = { env = \"OTHER_SEAL\" }\n",
    ];
    let mut replicas = Vec::new();
    for keys in keys {
        replicas.push(Gateway::start(qiniu, "", &format!("{keys}{}", routes())).await);
    }
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)] {
        let body = verify_body(&session(&replicas[from]).await, &video(0));
        let answer = replicas[to].post(false, VERIFY, body).await;
        assert_eq!(answer.json()["error_code"], 0, "from {from} to {to}");
    }
    let body = verify_body(&session(&replicas[0]).await, &video(0));
    told(
        &replicas[3].post(false, VERIFY, body).await,
        403,
        "session_rejected",
    );
    assert_eq!(handle.verify_calls(), 6);
}

#[tokio::test]
async fn unbound_session_ids_pass_unchanged() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let more = format!("[sessions]\nbind = false\n{}", routes());
    let gateway = Gateway::start(qiniu, "", &more).await;
    let id = session(&gateway).await;
    assert!(id.starts_with('S'));
    let body = verify_body(&id, &video(0));
    let answer = post_as(&gateway, "anybody", body.clone()).await;
    assert_eq!(answer.json()["error_code"], 0);
    assert_eq!(
        handle.last_body_sha256().unwrap(),
        <[u8; 32]>::from(Sha256::digest(&body))
    );
    let id = session(&gateway).await;
    let answer = post_raw(&gateway, "anybody", &id, &video(0)).await;
    assert_eq!(answer.json()["error_code"], 0);
}

#[tokio::test]
async fn a_pinned_member_is_forwarded_as_configured_under_every_spelling() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let pinned = routes()
        .replacen(
            "kind = \"session\"",
            "kind = \"session\"\nrequest.set = { min_code_length = 2, max_code_length = 2 }",
            1,
        )
        .replacen(
            "kind = \"verify\"",
            "kind = \"verify\"\nrequest.set = { type_identify = \"ac\\\"tion\", on = true }",
            1,
        );
    let gateway = Gateway::start(qiniu, "", &format!("{}{pinned}", sealed::SETTINGS)).await;
    let pins = "\"max_code_length\":2,\"min_code_length\":2";
    let sent = |body: &str| <[u8; 32]>::from(Sha256::digest(body));
    for (body, around) in [
        ("", ["{", "}"]),
        ("{}", ["{", "}"]),
        (" { } ", [" { ", "} "]),
        ("{\"x\":1}", ["{", "}"]),
        ("{\"min_code_length\":1}", ["{", "}"]),
        ("{\"min_code_length\":1,\"max_code_length\":1}", ["{", "}"]),
        (
            "{\"min\\u005fcode_length\":1, \"\\u006dax_code_length\" : 3 }",
            ["{  ", "}"],
        ),
        (
            "{\"x\":1,\"max_code_length\":{\"min_code_length\":[1]},\"y\":null}",
            ["{", "}"],
        ),
        ("{\"min_code_length\":\"not even a number\"}", ["{", "}"]),
    ] {
        let answer = gateway.post(false, SESSIONCODE, body).await;
        assert_eq!(answer.json()["result"]["code"].as_str().unwrap().len(), 2);
        let wanted = sent(&around.join(pins));
        assert_eq!(handle.last_body_sha256().unwrap(), wanted, "{body}");
    }
    for twice in [
        "{\"min_code_length\":1,\"min_code_length\":1}",
        "{\"min_code_length\":1,\"min\\u005fcode_length\":1}",
    ] {
        let answer = gateway.post(false, SESSIONCODE, twice).await;
        told(&answer, 400, "malformed_request");
    }

    let pins = "\"on\":true,\"type_identify\":\"ac\\\"tion\"";
    let id = sealed(KEY, qiniu, "user-1", "S1", Duration::ZERO);
    let base64 = data_encoding::BASE64.encode(&video(0));
    let asked = format!(
        "{{\"type_identify\":\"voice\",\"session_id\":\"{id}\",\"video_base64\":\"{base64}\",\"\\u006fn\":false}}"
    );
    let wanted = |id| {
        sent(&format!(
            "{{\"session_id\":\"{id}\",\"video_base64\":\"{base64}\",{pins}}}"
        ))
    };
    gateway.post(false, VERIFY, asked).await;
    assert_eq!(handle.last_body_sha256().unwrap(), wanted("S1"));
    let id = sealed(KEY, qiniu, "user-1", "S2", Duration::ZERO);
    post_raw(&gateway, "user-1", &id, &video(0)).await;
    assert_eq!(handle.last_body_sha256().unwrap(), wanted("S2"));
}

#[tokio::test]
async fn a_pin_holds_on_a_route_that_forwards_every_member() {
    let reply = crate::support::upstream::answer("200 OK", "{\"code\":1}");
    let other =
        crate::support::upstream::start(crate::support::upstream::Does::Answer(reply)).await;
    let plain =
        "[[routes]]\npath = \"/v1/face\"\nkind = \"plain\"\nrequest.set = { mode = \"strict\" }\n";
    let gateway = Gateway::start(other.address, "", plain).await;
    for (asked, wanted) in [
        ("{}", "{\"mode\":\"strict\"}"),
        ("{\"mode\":\"easy\"}", "{\"mode\":\"strict\"}"),
        (
            "{\"a\":[1, {\"mode\":2}] , \"m\\u006fde\":1,\"b\":2 }",
            "{\"a\":[1, {\"mode\":2}] ,\"b\":2 ,\"mode\":\"strict\"}",
        ),
    ] {
        gateway.post(false, "/v1/face", asked).await;
        assert_eq!(other.last_body(), wanted.as_bytes(), "{asked}");
    }
}
