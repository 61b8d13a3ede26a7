//! Outcomes are changed while the sandbox runs, and only what Qiniu bills is counted as billed.

use serde_json::Value;

use super::{RunningSandbox, decoded};

/// The claims of the verdict of a response.
fn verdict(response: &Value) -> Value {
    decoded(response["verdict"].as_str().unwrap())
}

#[tokio::test]
async fn each_outcome_has_its_result_and_its_price() {
    let sandbox = RunningSandbox::start().await;
    let mut billed = 0;
    for (outcome, error_code, passed, price) in [
        ("pass", 0, true, 1),
        ("action-fail", 0, false, 1),
        ("low-score", 0, false, 1),
        ("spoof", 0, false, 1),
        ("error:216501", 216_501, false, 0),
        // Qiniu's upstream bills these two.
        ("error:216500", 216_500, false, 1),
        ("error:223120", 223_120, false, 1),
        ("pass", 0, true, 1),
    ] {
        let set = sandbox.set_outcome(outcome).await;
        assert_eq!(set.json()["outcome"], outcome);
        let response = sandbox.verify(&sandbox.session().await).await.json();
        assert_eq!(response["error_code"], error_code, "{outcome}");
        let verdict = verdict(&response);
        assert_eq!(verdict["liveness"]["passed"], passed, "{outcome}");
        billed += price;
        let state = sandbox.state().await;
        assert_eq!(state["billed_calls"], billed, "{outcome}");
        // The backend gets every response.
        let delivery = &state["deliveries"][0];
        assert_eq!(delivery["id"], verdict["jti"]);
        assert_eq!(delivery["passed"], passed, "{outcome}");
    }
    let state = sandbox.state().await;
    assert_eq!(state["deliveries"].as_array().unwrap().len(), 8);
    assert_eq!(
        (&state["session_calls"], &state["verify_calls"]),
        (&8.into(), &8.into())
    );
    assert_eq!(state["emulated"], true);
}

#[tokio::test]
async fn a_busy_qiniu_bills_nothing_and_the_session_can_be_used_again() {
    let sandbox = RunningSandbox::start().await;
    sandbox.set_outcome("busy").await;
    let session = sandbox.session().await;
    let busy = sandbox.verify(&session).await;
    assert_eq!(
        (busy.status.as_u16(), busy.code().as_str()),
        (503, "upstream_busy")
    );
    assert!(busy.header("retry-after").parse::<u32>().unwrap() > 0);
    let state = sandbox.state().await;
    assert_eq!(
        (&state["billed_calls"], &state["verify_calls"]),
        (&0.into(), &1.into())
    );
    assert_eq!(state["deliveries"].as_array().unwrap().len(), 0);
    sandbox.set_outcome("pass").await;
    let passed = sandbox.verify(&session).await.json();
    assert_eq!(verdict(&passed)["liveness"]["passed"], true);
    // A retry gets the same response, without another call.
    let again = sandbox.verify(&session).await.json();
    assert_eq!(verdict(&again)["jti"], verdict(&passed)["jti"]);
    assert_eq!(sandbox.state().await["billed_calls"], 1);
}
