//! A stranger asks for a key id before it is published, and for many that never are. The new key is
//! accepted all the same, after the next fetch that may be made.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::{Instant, sleep};

use super::{algorithms::Signer, key_sets::set, *};
use crate::{
    auth::{
        remote::{FetchTiming, FetchedKeys, KeySetLocation, RemoteKeySettings, RemoteKeys},
        token::UnverifiedToken,
    },
    outbound::{
        connection::{ClientTls, client_config},
        dial::Dialer,
        origin::Url,
    },
};

/// How long the provider takes to respond.
const RESPONSE: Duration = Duration::from_millis(2);
/// The time between two fetches, which is half a minute in a gateway.
const INTERVAL: Duration = Duration::from_millis(30);

/// A provider without a network, and the keys that were fetched from it.
struct Issuer {
    published: Mutex<Vec<Value>>,
    keys: RemoteKeys,
    fetches: AtomicU64,
}

impl Issuer {
    fn new(keys: Vec<Value>) -> Arc<Self> {
        let settings = RemoteKeySettings {
            location: KeySetLocation::KeySet(Url::parse("http://127.0.0.1:1/keys").unwrap()),
            dialer: Dialer::default(),
            tls: ClientTls::new(client_config(None).unwrap()),
            algorithms: None,
            max_stale: Duration::from_secs(3600),
            timing: FetchTiming {
                refetch_interval: INTERVAL,
                ..FetchTiming::default()
            },
        };
        let issuer = Self {
            published: Mutex::new(keys),
            keys: RemoteKeys::new("https://login".into(), settings),
            fetches: AtomicU64::new(0),
        };
        issuer.keys.set(issuer.response());
        issuer.keys.progress.send_modify(|it| it.succeeded = true);
        Arc::new(issuer)
    }

    fn response(&self) -> FetchedKeys {
        let text = json!({"keys": *self.published.lock().unwrap()}).to_string();
        let fetched = VerificationKeys::from_fetched(text.as_bytes(), None, None);
        FetchedKeys {
            keys: Arc::new(fetched.unwrap().keys),
            fetched_at: Instant::now(),
        }
    }

    /// Fetches when it is asked to.
    async fn serve(self: Arc<Self>) {
        loop {
            self.keys.wake.notified().await;
            self.keys.progress.send_modify(|it| it.started += 1);
            self.fetches.fetch_add(1, Ordering::Relaxed);
            // What is published while the response is on its way is not in it.
            let response = self.response();
            sleep(RESPONSE).await;
            self.keys.set(response);
            self.keys
                .progress
                .send_modify(|it| it.finished = it.started);
        }
    }

    /// Whether a token with this key id is accepted.
    async fn accepts(&self, signer: &Signer, id: &str) -> bool {
        let header = json!({"kid": id}).to_string();
        let token = signer.sign(&header, &good_claims().to_string());
        let token = UnverifiedToken::parse(token.as_bytes()).ok().unwrap();
        self.keys.verify(&token, || true).await.is_ok()
    }

    fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_new_key_is_accepted_after_the_next_fetch_whatever_was_asked_for_before() {
    let (old, new, stranger) = (Signer::ed25519(), Signer::ed25519(), Signer::ed25519());
    let named = |signer: &Signer, id: &str| set(signer.jwk(), &[("kid", json!(id))]);
    for goes_on in [false, true] {
        let issuer = Issuer::new(vec![named(&old, "today")]);
        let serving = tokio::spawn(Arc::clone(&issuer).serve());
        let attack = async |number: u64| {
            assert!(!issuer.accepts(&stranger, "tomorrow").await);
            assert!(!issuer.accepts(&stranger, &number.to_string()).await);
        };
        let (start, mut asked) = (Instant::now(), 0);
        while issuer.fetches() < 3 {
            attack(asked).await;
            asked += 1;
            tokio::task::yield_now().await;
        }
        let most = start.elapsed().as_millis() / INTERVAL.as_millis() + 1;
        assert!(
            u128::from(issuer.fetches()) <= most,
            "more than one fetch each {INTERVAL:?}"
        );
        // The response of the third fetch has been written without it.
        *issuer.published.lock().unwrap() = vec![named(&old, "today"), named(&new, "tomorrow")];
        loop {
            let fetches = issuer.fetches();
            if issuer.accepts(&new, "tomorrow").await {
                break;
            }
            assert!(fetches < 4, "the new key was fetched and not accepted");
            assert!(
                start.elapsed() < 1000 * INTERVAL,
                "the new key was never fetched"
            );
            if goes_on {
                attack(asked).await;
                asked += 1;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(issuer.fetches(), 4);
        assert!(issuer.accepts(&old, "today").await);
        serving.abort();
    }
}
