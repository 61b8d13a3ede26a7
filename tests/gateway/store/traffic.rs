//! Users who go through the whole journey again and again, over two replicas.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use crate::support::{Gateway, VERIFY, session, verify_body, video};

/// Between two attempts of a user.
const BREATH: Duration = Duration::from_millis(20);

/// A user's whole attempt: a session and its verify. Panics if either fails.
pub(crate) async fn attempt(first: &Gateway, second: &Gateway) {
    let body = verify_body(&session(first).await, &video(0));
    let answer = second.post(false, VERIFY, body).await;
    assert_eq!(
        answer.json()["result"]["action_verify"],
        "pass",
        "{answer:?}"
    );
}

/// Four users who make one attempt after another until the end.
pub(crate) struct Traffic {
    over: Arc<AtomicBool>,
    users: JoinSet<()>,
}

impl Traffic {
    pub(crate) fn over(both: &[Arc<Gateway>; 2]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut users = JoinSet::new();
        for number in 0..4 {
            let (one, other) = (Arc::clone(&both[number % 2]), Arc::clone(&both[number / 2]));
            let over = Arc::clone(&over);
            users.spawn(async move {
                attempt(&one, &other).await;
                while !over.load(Ordering::SeqCst) {
                    tokio::time::sleep(BREATH).await;
                    attempt(&one, &other).await;
                }
            });
        }
        Self { over, users }
    }

    /// Ends the traffic and asserts that no attempt has failed.
    pub(crate) async fn ended_well(self) {
        self.over.store(true, Ordering::SeqCst);
        self.users.join_all().await;
    }
}
