//! What the sandbox's backend received: the last deliveries, in memory.
//!
//! Counts the pictures of each. Never holds more than [`MAX_DELIVERIES`], and never writes one
//! anywhere.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// Maximum number of deliveries that are kept.
const MAX_DELIVERIES: usize = 20;
/// The members of a picture that no frontend gets.
const KEPT_BACK: [&str; 3] = ["pic", "face_token", "face_id"];

/// The deliveries, the newest first.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<DeliveryLog>);

#[derive(Default)]
struct DeliveryLog {
    rejected: u64,
    kept: VecDeque<Arc<Delivery>>,
}

struct Delivery {
    summary: DeliverySummary,
    /// The pictures in base64, the best one first.
    pictures: Vec<String>,
}

/// The facts about a delivery.
#[derive(Clone, Serialize)]
pub(super) struct DeliverySummary {
    /// The id of the verdict.
    id: String,
    time: String,
    user: String,
    passed: bool,
    /// Size of the whole delivery, in bytes.
    bytes: usize,
    /// Size of Qiniu's response in it, in bytes.
    answer_bytes: usize,
    /// What the frontend did not get of Qiniu's response, in bytes.
    removed_bytes: usize,
    /// Number of pictures.
    pictures: usize,
    /// Size of the pictures in base64, in bytes.
    picture_bytes: usize,
}

/// A delivery with its pictures.
#[derive(Serialize)]
pub(super) struct DeliveredEvidence {
    id: String,
    time: String,
    user: String,
    passed: bool,
    /// The pictures as `data:` URLs, the best one first.
    pictures: Vec<String>,
}

/// The body of a delivery.
#[derive(Deserialize)]
struct DeliveryBody<'a> {
    id: String,
    time: String,
    user: String,
    passed: bool,
    #[serde(borrow)]
    answer: &'a RawValue,
}

impl Deliveries {
    /// Keeps a delivery whose signature is valid. A second one of an id replaces the first.
    ///
    /// # Errors
    /// The body is not a delivery.
    pub(super) fn add(&self, body: &[u8]) -> Result<(), serde_json::Error> {
        let delivery = Arc::new(Delivery::read(body)?);
        let mut log = self.log();
        log.kept
            .retain(|kept| kept.summary.id != delivery.summary.id);
        log.kept.push_front(delivery);
        log.kept.truncate(MAX_DELIVERIES);
        Ok(())
    }

    /// Counts a delivery that was rejected.
    pub(super) fn count_rejected(&self) {
        let mut log = self.log();
        log.rejected = log.rejected.saturating_add(1);
    }

    /// The number of rejected deliveries, and the facts about those that are kept.
    pub(super) fn summaries(&self) -> (u64, Vec<DeliverySummary>) {
        let log = self.log();
        let summaries = log.kept.iter().map(|delivery| delivery.summary.clone());
        (log.rejected, summaries.collect())
    }

    /// The delivery of this id, if it is kept.
    pub(super) fn evidence(&self, id: &str) -> Option<DeliveredEvidence> {
        let log = self.log();
        let found = log.kept.iter().find(|delivery| delivery.summary.id == id);
        let delivery = Arc::clone(found?);
        drop(log);
        let url = |picture: &String| format!("data:image/jpeg;base64,{picture}");
        let summary = delivery.summary.clone();
        Some(DeliveredEvidence {
            id: summary.id,
            time: summary.time,
            user: summary.user,
            passed: summary.passed,
            pictures: delivery.pictures.iter().map(url).collect(),
        })
    }

    fn log(&self) -> MutexGuard<'_, DeliveryLog> {
        // Each change above is complete, whatever panics elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let delivery: DeliveryBody<'_> = serde_json::from_slice(body)?;
        let answer_bytes = delivery.answer.get().len();
        let mut answer: Value = serde_json::from_str(delivery.answer.get())?;
        let mut pictures = Vec::new();
        for image in images(&mut answer) {
            if let Some(Value::String(picture)) = image.get("pic") {
                pictures.push(picture.clone());
            }
            if let Value::Object(members) = image {
                members.retain(|name, _| !KEPT_BACK.contains(&name.as_str()));
            }
        }
        let passed_on = serde_json::to_vec(&answer)?.len();
        Ok(Self {
            summary: DeliverySummary {
                id: delivery.id,
                time: delivery.time,
                user: delivery.user,
                passed: delivery.passed,
                bytes: body.len(),
                answer_bytes,
                removed_bytes: answer_bytes.saturating_sub(passed_on),
                pictures: pictures.len(),
                picture_bytes: pictures.iter().map(String::len).sum(),
            },
            pictures,
        })
    }
}

/// The images of a response of Qiniu's, the best one first; none of an error.
fn images(answer: &mut Value) -> Vec<&mut Value> {
    let Some(Value::Object(result)) = answer.get_mut("result") else {
        return Vec::new();
    };
    let (mut best, mut list) = (None, None);
    for (name, member) in result {
        match (name.as_str(), member) {
            ("best_image", image) => best = Some(image),
            ("pic_list", Value::Array(images)) => list = Some(images),
            _ => {}
        }
    }
    best.into_iter().chain(list.into_iter().flatten()).collect()
}
