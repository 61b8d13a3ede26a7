//! What a record says of a request that a defect has ended.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use crate::{
    relay::request_id::RequestIds,
    telemetry::{LogFormat, log::LogWriter, metrics::Metrics},
};

#[test]
fn a_request_that_panics_is_an_internal_error_and_no_caller_that_left() {
    let (log, lines) = LogWriter::capture();
    let telemetry = Arc::new(Telemetry {
        metrics: Metrics::new(LogWriter::discard()),
        log,
        format: LogFormat::Json,
        lines: Arc::default(),
    });
    let record = || {
        let id = RequestIds::default().next();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        AccessRecord::begin(Arc::clone(&telemetry), peer, &hyper::Method::POST, id)
    };
    drop(record());
    let mut answered = record();
    (answered.status, answered.code) = (200, "ok");
    for record in [record(), answered] {
        drop(catch_unwind(AssertUnwindSafe(|| {
            let _record = record;
            resume_unwind(Box::new(()));
        })));
    }
    let lines = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let code = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["code"].as_str().unwrap().to_owned()
    };
    let codes: Vec<_> = lines.lines().map(code).collect();
    assert_eq!(codes, ["caller_left", "internal_error", "ok"]);
}
