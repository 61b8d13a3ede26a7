//! What the sandbox's backend received: the last deliveries, in memory.
//!
//! Counts the pictures of each. Never holds more than [`MAX_DELIVERIES`], and never writes one
//! anywhere.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

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
        let answer: Value = serde_json::from_str(delivery.answer.get())?;
        let mut pictures = Vec::new();
        let mut removed_bytes: usize = 0;
        for image in images(&answer) {
            if let Some(Value::String(picture)) = image.get("pic") {
                pictures.push(picture.clone());
            }
            let kept_back = KEPT_BACK
                .iter()
                .filter_map(|name| image.get_key_value(*name));
            for (name, value) in kept_back {
                // As Qiniu writes it: two quotes, a colon and a comma, and no blanks.
                let written = name.len().saturating_add(value.to_string().len());
                removed_bytes = removed_bytes.saturating_add(written).saturating_add(4);
            }
        }
        Ok(Self {
            summary: DeliverySummary {
                id: delivery.id,
                time: delivery.time,
                user: delivery.user,
                passed: delivery.passed,
                bytes: body.len(),
                answer_bytes,
                removed_bytes,
                pictures: pictures.len(),
                picture_bytes: pictures.iter().map(String::len).sum(),
            },
            pictures,
        })
    }
}

/// The images of a response of Qiniu's, the best one first; none of an error.
fn images(answer: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let result = answer.get("result");
    let member = move |name| result.and_then(|result| result.get(name));
    let list = member("pic_list").and_then(Value::as_array);
    let all = member("best_image")
        .into_iter()
        .chain(list.into_iter().flatten());
    all.filter_map(Value::as_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delivery(id: &str, answer: &Value) -> Vec<u8> {
        let time = "2026-11-30T07:00:00.000Z";
        let delivery = json!({"id": id, "user": "u", "issuer": "i", "time": time, "passed": true, "answer": answer});
        serde_json::to_vec(&delivery).unwrap()
    }

    #[test]
    fn the_last_twenty_deliveries_are_kept_and_a_repetition_counts_once() {
        let deliveries = Deliveries::default();
        for id in 0..25 {
            deliveries
                .add(&delivery(&id.to_string(), &json!({})))
                .unwrap();
        }
        deliveries.add(&delivery("23", &json!({}))).unwrap();
        let (_, kept) = deliveries.summaries();
        let ids: Vec<&str> = kept.iter().map(|kept| kept.id.as_str()).collect();
        assert_eq!(ids.len(), MAX_DELIVERIES);
        assert_eq!(ids[..3], ["23", "24", "22"]);
        assert_eq!(ids[19], "5");
        assert!(deliveries.evidence("4").is_none() && deliveries.evidence("5").is_some());
    }

    #[test]
    fn pictures_are_counted_and_what_is_no_response_with_pictures_has_none() {
        let deliveries = Deliveries::default();
        let image = |picture| json!({"pic": picture, "face_token": "t", "liveness_score": 1});
        let answer = json!({"result": {"pic_list": [image("AAAA"), image("BBBB")], "best_image": image("BBBB")}});
        for (id, answer, pictures) in [
            ("whole", answer, 3),
            ("error", json!({"error_code": 216_501}), 0),
            ("other", json!({"result": [1], "pic_list": {}}), 0),
            (
                "odd",
                json!({"result": {"pic_list": [1, null], "best_image": "x"}}),
                0,
            ),
        ] {
            deliveries.add(&delivery(id, &answer)).unwrap();
            let (_, kept) = deliveries.summaries();
            assert_eq!(kept[0].pictures, pictures, "{id}");
            // `"pic":"AAAA",` and `"face_token":"t",`
            assert_eq!(kept[0].removed_bytes, pictures * (13 + 17), "{id}");
        }
        let evidence = deliveries.evidence("whole").unwrap();
        let urls = ["BBBB", "AAAA", "BBBB"].map(|it| format!("data:image/jpeg;base64,{it}"));
        assert_eq!(evidence.pictures, urls);
        assert!(deliveries.add(b"{}").is_err() && deliveries.add(b"").is_err());
    }
}
