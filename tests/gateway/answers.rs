//! What of Qiniu's responses reaches a frontend: what the operator names and nothing else, whatever
//! Qiniu adds one day.

use liveness_gateway::emulator::Scenario;
use serde_json::{Value, json};

use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, VERDICT, VERIFY, claims, emulator, events, own_process, routes,
    session,
    upstream::{self, Does, answer},
    verify_body, video,
};

/// The names of all members in a value, with the paths of the objects around them.
fn paths(value: &Value) -> Vec<String> {
    fn visit(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = format!("{path}.{name}");
                    visit(&path, value, found);
                    found.push(path);
                }
            }
            Value::Array(elements) => {
                let path = format!("{path}[]");
                elements.iter().for_each(|it| visit(&path, it, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit("", value, &mut found);
    found.sort();
    found.dedup();
    found
}

#[tokio::test]
async fn a_picture_in_a_member_that_qiniu_adds_tomorrow_stays_here() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    handle.set_new_members(true);
    let gateway = Gateway::plain(qiniu).await;
    for http2 in [false, true] {
        let body = verify_body(&session(&gateway).await, &video(0));
        let body = body.replace('}', ",\"face_field\":\"spoofing,quality\"}");
        let answer = gateway.post(http2, VERIFY, body).await;
        let answer = answer.json();
        assert_eq!(answer["result"]["action_verify"], "pass");
        let kept: Vec<_> = paths(&answer)
            .into_iter()
            .filter(|path| !path.contains(".quality."))
            .collect();
        assert_eq!(
            kept,
            [
                ".error_code",
                ".error_msg",
                ".result",
                ".result.action_verify",
                ".result.best_image",
                ".result.best_image.liveness_score",
                ".result.best_image.quality",
                ".result.best_image.spoofing",
                ".result.maxspoofing",
                ".result.pic_list",
                ".result.pic_list[].liveness_score",
                ".result.pic_list[].quality",
                ".result.pic_list[].spoofing",
                ".result.score",
                ".result.spoofing_score",
                ".result.thresholds",
                ".result.thresholds.frr_1e-2",
                ".result.thresholds.frr_1e-3",
                ".result.thresholds.frr_1e-4",
                ".serverlogid",
            ]
        );
    }
}

/// Cases of a `verify` response, and what is left of each with the default fields.
const RESULTS: &[(&str, &str)] = &[
    (
        r#"{"best_image":"small piece","score":1}"#,
        r#"{"score":1}"#,
    ),
    (
        r#"{"best_image":["a","b"]}"#,
        r#"{"best_image":[null,null]}"#,
    ),
    (
        r#"{"pic_list":["a",{"pic":"b"},["c"]]}"#,
        r#"{"pic_list":[null,{},[null]]}"#,
    ),
    (
        r#"{"pic_list":{"0":"a","quality":"b"}}"#,
        r#"{"pic_list":{}}"#,
    ),
    (
        r#"{"images":["a"],"action_verify":"fail"}"#,
        r#"{"action_verify":"fail"}"#,
    ),
    (
        r#"{"best_image":{"p\u0069c":"a","face_id":7}}"#,
        r#"{"best_image":{}}"#,
    ),
    (r#"["a",{"score":1}]"#, "[null,null]"),
    (r#"null"#, "null"),
];

#[tokio::test]
async fn pictures_in_small_pieces_stay_here_in_any_shape() {
    let answers = RESULTS.iter().map(|(result, _)| {
        answer(
            "200 OK",
            &format!("{{\"error_code\":0,\"x\":\"a\",\"result\":{result}}}"),
        )
    });
    let qiniu = upstream::start(Does::InTurn(answers.collect())).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    for (index, (_, wanted)) in RESULTS.iter().enumerate() {
        let body = verify_body(&format!("S{index}"), &video(0));
        let answer = gateway.post(false, VERIFY, body).await;
        let wanted = format!("{{\"error_code\":0,\"result\":{wanted}}}");
        assert_eq!(String::from_utf8_lossy(&answer.body), wanted);
    }
}

#[tokio::test]
async fn a_session_has_its_id_and_code_and_nothing_new() {
    let reply = r#"{"log":"x","error_code":0,"result":{"sid":"SESSION1","session_id":"SESSION1","code":"05"}}"#;
    let qiniu = upstream::start(Does::Answer(answer("200 OK", reply))).await;
    let gateway = Gateway::plain(qiniu.address).await;
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("SESSION1"));
    let answer = answer.json();
    assert_eq!(
        paths(&answer),
        [
            ".error_code",
            ".result",
            ".result.code",
            ".result.session_id"
        ]
    );
}

#[tokio::test]
async fn a_verdict_is_based_on_what_the_frontend_does_not_get() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let text = routes().replace(
        "kind = \"verify\"",
        "kind = \"verify\"\nresponse.fields = [\"error_code\"]",
    );
    let gateway = Gateway::start(qiniu, "", &(VERDICT.to_owned() + &text)).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let answer = gateway.post(false, VERIFY, body).await.json();
    assert_eq!(paths(&answer), [".error_code", ".verdict"]);
    let verdict = claims(&gateway, answer["verdict"].as_str().unwrap()).await;
    assert_eq!(verdict["liveness"]["passed"], json!(true));
    assert_eq!(verdict["liveness"]["score"], json!(0.9713));
}

#[tokio::test]
async fn the_name_of_a_member_that_is_kept_back_is_logged_once_and_its_value_never() {
    // Events of the library go to the log of a whole process.
    let name = "answers::the_name_of_a_member_that_is_kept_back_is_logged_once_and_its_value_never";
    if !own_process::is_here(name) {
        return;
    }
    let log = events::capture(tracing::Level::INFO);
    let long = "图".repeat(30);
    let many: String = (0..150).map(|at| format!(",\"many{at:03}\":1")).collect();
    let valid = format!(
        "{{\"error_code\":0,\"crop\":\"VALUE\",\"result\":{{\"crop\":{{\"inner\":\"VALUE\"}},\
         \"face_token\":\"VALUE\",\"pic_list\":[{{\"face_token\":\"VALUE\",\"pic\":\"VALUE\"}}]}},\
         \"{long}\":1,\"a\\n\\u202eb\":\"VALUE\"{many}}}"
    );
    let broken = "{\"error_code\":0,\"brokenname\":1,\"x\":}";
    let answers = [broken, &valid, &valid].map(|body| answer("200 OK", body));
    let qiniu = upstream::start(Does::InTurn(answers.to_vec())).await;
    let text = UNBOUND.to_owned() + &routes();
    let gateway = Gateway::start(qiniu.address, "", &text).await;
    for session in ["S1", "S2", "S3"] {
        gateway
            .post(false, VERIFY, verify_body(session, &video(0)))
            .await;
    }
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let names: Vec<_> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| Some(line.get("member")?.as_str()?.to_owned()))
        .collect();
    let first = [
        "crop",
        "face_token",
        &"图".repeat(21),
        "a\\n\\u{202e}b",
        "many000",
    ];
    assert_eq!(names.get(..first.len()).unwrap(), first, "{log}");
    assert_eq!(names.len(), 100, "{names:?}");
    for absent in ["VALUE", "brokenname", "inner", "many096"] {
        assert!(!log.contains(absent), "{absent} in {log}");
    }
}
