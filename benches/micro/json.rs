//! Scanning a request and a response, and cutting both, compared with `serde_json`.

use std::sync::Arc;

use liveness_gateway::json::{
    cut::JsonCut,
    rules::{CutRules, MemberPath},
    scanner::JsonScanner,
    sink::{BufferSink, CutSink},
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{base64::video, measure::Comparison};

/// The chunks in which hyper passes on a body, and in which a response is read; in bytes.
const BODY_CHUNK: usize = 417_792;
const RESPONSE_CHUNK: usize = 64 * 1024;

/// What may pass of a response: the default of `response.fields` on a `verify` route.
const ALLOWED: [&str; 14] = [
    "error_code",
    "error_msg",
    "serverlogid",
    "result.score",
    "result.maxspoofing",
    "result.spoofing_score",
    "result.thresholds",
    "result.action_verify",
    "result.best_image.liveness_score",
    "result.best_image.spoofing",
    "result.best_image.quality",
    "result.pic_list[].liveness_score",
    "result.pic_list[].spoofing",
    "result.pic_list[].quality",
];

pub(crate) fn comparisons(is_wanted: &dyn Fn(&str) -> bool) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    if is_wanted("json scan, request") {
        comparisons.push(scan("json scan, request", request(), BODY_CHUNK));
    }
    if is_wanted("json scan, response") {
        comparisons.push(scan("json scan, response", response(), RESPONSE_CHUNK));
    }
    if is_wanted("json cut, request") {
        comparisons.push(cut_request());
    }
    if is_wanted("json cut, response") {
        comparisons.push(cut_response());
    }
    comparisons
}

/// A `verify` request with a 2 MiB video: 2.8 MB of JSON.
fn request() -> Arc<Vec<u8>> {
    let text = video(2 * 1024 * 1024);
    let request = json!({
        "session_id": "e4a1d53b-8f04-4b9f-a5ad-7b0f2c6e1d90",
        "video_base64": text,
        "face_field": "quality",
    });
    Arc::new(request.to_string().into_bytes())
}

/// A response to `verify` with six pictures: 900 KB.
fn response() -> Arc<Vec<u8>> {
    let picture = || {
        json!({
            "pic": video(112_500),
            "face_token": "0e7c2f9a",
            "liveness_score": 0.931_532_2,
            "spoofing": 1.2e-4,
        })
    };
    let pictures: Vec<_> = (0..5).map(|_| picture()).collect();
    let response = json!({
        "error_code": 0,
        "error_msg": "SUCCESS",
        "serverlogid": "2457865190",
        "timestamp": 1_732_454_145,
        "result": {
            "score": 0.984_712,
            "maxspoofing": 0.000_2,
            "action_verify": "pass",
            "best_image": picture(),
            "pic_list": pictures,
            "thresholds": {"frr_1e-4": 0.05, "frr_1e-3": 0.3, "frr_1e-2": 0.9},
            "code": {"create": "1 2 3", "identify": "1 2 3"},
        },
    });
    Arc::new(response.to_string().into_bytes())
}

fn scan(name: &'static str, document: Arc<Vec<u8>>, chunk: usize) -> Comparison {
    let (ignored, tree) = (Arc::clone(&document), Arc::clone(&document));
    Comparison::new(name, Some(document.len()))
        .candidate("Scanner, in chunks", move || {
            let (mut scanner, mut events) = (JsonScanner::default(), 0);
            for part in document.chunks(chunk) {
                let mut at = 0;
                while scanner.next(part, &mut at).unwrap().is_some() {
                    events += 1;
                }
            }
            scanner.finish().unwrap();
            events
        })
        .candidate("serde_json, IgnoredAny", move || {
            serde_json::from_slice::<IgnoredAny>(&ignored).unwrap()
        })
        .candidate("serde_json, Value", move || {
            serde_json::from_slice::<Value>(&tree).unwrap()
        })
}

/// Cuts with the rules of a `verify` request, without the check of the video.
fn cut_request() -> Comparison {
    let document = request();
    let tree = Arc::clone(&document);
    let mut rules = CutRules::new();
    rules.keep_only(["session_id", "video_base64", "face_field"]);
    rules.capture(&MemberPath::parse("session_id").unwrap());
    rules.stream(&MemberPath::parse("video_base64").unwrap());
    Comparison::new("json cut, request", Some(document.len()))
        .candidate("Cut, in chunks, nothing copied", move || {
            let (mut cut, mut kept) = (JsonCut::new(&rules), Counted::default());
            document
                .chunks(BODY_CHUNK)
                .for_each(|part| cut.feed(part, &mut kept).unwrap());
            (cut.finish().unwrap(), kept)
        })
        .candidate("serde_json, Value and back", move || {
            let mut tree: Value = serde_json::from_slice(&tree).unwrap();
            let allowed = ["session_id", "video_base64", "face_field"];
            tree.as_object_mut()
                .unwrap()
                .retain(|name, _| allowed.contains(&name.as_str()));
            serde_json::to_vec(&tree).unwrap()
        })
}

fn cut_response() -> Comparison {
    let document = response();
    let tree = Arc::clone(&document);
    let mut rules = CutRules::new();
    rules.remove(&MemberPath::parse("result.best_image.pic").unwrap());
    rules.remove(&MemberPath::parse("result.pic_list[].pic").unwrap());
    rules.remove_longer(1024);
    let allowed = ALLOWED.map(|path| MemberPath::parse(path).unwrap());
    rules.allow_only(&allowed);
    rules.capture(&MemberPath::parse("error_code").unwrap());
    rules.capture(&MemberPath::parse("serverlogid").unwrap());
    Comparison::new("json cut, response", Some(document.len()))
        .candidate("Cut, in chunks", move || {
            let (mut cut, mut kept) = (JsonCut::new(&rules), BufferSink::default());
            document
                .chunks(RESPONSE_CHUNK)
                .for_each(|part| cut.feed(part, &mut kept).unwrap());
            (cut.finish().unwrap(), kept.into_bytes())
        })
        .candidate("serde_json, Value and back", move || {
            let mut tree: Value = serde_json::from_slice(&tree).unwrap();
            let keep = |value: &mut Value, wanted: &[&str]| {
                let members = value.as_object_mut().unwrap();
                members.retain(|name, _| wanted.contains(&name.as_str()));
            };
            keep(
                &mut tree,
                &["error_code", "error_msg", "serverlogid", "result"],
            );
            let result = &mut tree["result"];
            let image = ["liveness_score", "spoofing", "quality"];
            keep(&mut result["best_image"], &image);
            for picture in result["pic_list"].as_array_mut().unwrap() {
                keep(picture, &image);
            }
            serde_json::to_vec(&tree).unwrap()
        })
}

/// Counts the bytes that a request's pieces would refer to.
#[derive(Default)]
struct Counted {
    kept: usize,
    text: usize,
}

impl CutSink for Counted {
    fn keep(&mut self, bytes: &[u8]) {
        self.kept += bytes.len();
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.kept += bytes.len();
    }

    fn mark(&mut self) {}

    fn rollback(&mut self) {}

    fn text(&mut self, bytes: &[u8], _letters: bool) {
        self.text += bytes.len();
    }
}
