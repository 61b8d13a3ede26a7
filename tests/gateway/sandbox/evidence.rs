//! What the sandbox's backend receives, and what the page learns of it.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{RunningSandbox, decoded};

#[tokio::test]
async fn the_backend_has_the_pictures_that_the_frontend_did_not_get() {
    let sandbox = RunningSandbox::start().await;
    let response = sandbox.verify(&sandbox.session().await).await.json();
    let verdict = decoded(response["verdict"].as_str().unwrap());
    assert_eq!(verdict["liveness"]["evidence"], "delivered");
    assert!(verdict["liveness"]["video_sha256"].is_string());
    let state = sandbox.state().await;
    let delivery = &state["deliveries"][0];
    assert_eq!(
        (&delivery["id"], &delivery["user"], &delivery["pictures"]),
        (&verdict["jti"], &json!("sandbox-user"), &json!(9))
    );
    assert!(delivery["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(state["rejected_deliveries"], 0);
    let size = |name: &str| delivery[name].as_u64().unwrap();
    assert!(size("picture_bytes") > 800_000 && size("removed_bytes") > size("picture_bytes"));
    assert!(size("bytes") > size("answer_bytes") && size("answer_bytes") > size("removed_bytes"));
    // The gateway says the same of what it removed.
    let removed = format!("removed_bytes={}", size("removed_bytes"));
    assert!(
        sandbox.log().contains(&removed),
        "{removed}: {}",
        sandbox.log()
    );
    let id = delivery["id"].as_str().unwrap();
    let evidence = sandbox.get(&format!("/sandbox/evidence/{id}")).await.json();
    assert_eq!(evidence["id"], id);
    let pictures: Vec<_> = evidence["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .map(jpeg)
        .collect();
    assert_eq!(pictures.len(), 9);
    // The best one, which is also one of the list, comes first.
    let again = pictures
        .iter()
        .skip(1)
        .filter(|picture| **picture == pictures[0]);
    assert_eq!(again.count(), 1);
    assert!(!response.to_string().contains(&BASE64.encode(&pictures[0])));
}

fn jpeg(url: &Value) -> Vec<u8> {
    let base64 = url
        .as_str()
        .unwrap()
        .strip_prefix("data:image/jpeg;base64,");
    let picture = BASE64.decode(base64.unwrap().as_bytes()).unwrap();
    assert!(picture.starts_with(&[0xff, 0xd8]) && picture.ends_with(&[0xff, 0xd9]));
    picture
}
