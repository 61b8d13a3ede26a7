//! What the thread does with an output that fails or hangs, where no real disk can be made to.

use std::{fs, path::Path};

use tokio::sync::oneshot;

use super::*;
use crate::{
    audit::tail::FileTail,
    telemetry::{log::LogWriter, metrics::TextFormat},
};

/// The parts of a log, without a thread.
fn parts(path: &Path, required: bool) -> (WriterHandle, AuditWriter) {
    let options = Arc::new(WriterOptions {
        required,
        checkpoint: Duration::from_secs(3600),
        signer: None,
    });
    let (metrics, readiness) = (Metrics::new(LogWriter::discard()), Arc::default());
    let handle = WriterHandle::new(path.to_owned(), &options, &metrics, &readiness);
    let writer = AuditWriter::new(path.to_owned(), &handle);
    (handle, writer)
}

fn record(withdrawable: bool) -> (QueuedRecord, oneshot::Receiver<bool>) {
    let (waiter, written) = oneshot::channel();
    let content = "\"time\":\"\",\"event\":\"verify\"".to_owned();
    let record = QueuedRecord {
        withdrawable,
        waiter: Some(waiter),
        ..QueuedRecord::kept(content)
    };
    (record, written)
}

/// How many records count as written, and as failed.
fn counts(handle: &WriterHandle) -> [u64; 2] {
    let text = handle.metrics.encode(TextFormat::Prometheus);
    ["written", "failed"].map(|outcome| {
        let name = format!("liveness_gateway_audit_records_total{{outcome=\"{outcome}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&*name));
        value.map_or(0, |value| value.parse().unwrap())
    })
}

/// Whether the log lets the gateway be ready.
fn is_ready(handle: &WriterHandle) -> bool {
    !handle.readiness.to_json().contains("\"audit\":\"failing\"")
}

/// `/dev/null` takes a write, and fails to sync it, as a disk may.
#[test]
fn what_is_not_synced_is_not_written_and_is_kept_for_the_next_try() {
    let device = Path::new("/dev/null");
    let (handle, mut writer) = parts(device, true);
    writer.output = Some(AuditOutput::unchecked(device).unwrap());
    let (made, mut told) = record(false);
    let (begun, mut refused) = record(true);
    assert!(handle.queue(made) && handle.queue(begun));
    writer.take(handle.queue.wait(Instant::now()));
    assert!(!writer.write(), "it was not synced");
    assert_eq!(
        (told.try_recv(), refused.try_recv()),
        (Ok(false), Ok(false))
    );
    assert_eq!(writer.pending.len(), 1, "the call was made");
    assert_eq!((&writer.head, writer.started), (&None, false));
    assert_eq!(counts(&handle), [0, 2]);
    assert!(!is_ready(&handle));

    let folder = std::env::temp_dir().join(format!("audit-synced-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    (writer.path, writer.output) = (folder.join("audit.jsonl"), None);
    assert!(writer.write());
    assert_eq!(counts(&handle), [1, 2]);
    assert!(is_ready(&handle));
    let file = fs::File::open(&writer.path).unwrap();
    let last = FileTail::read(&file).unwrap().last.unwrap();
    assert_eq!((last.number, last.event.as_str()), (2, "gap"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_write_that_hangs_refuses_calls_and_is_told_until_it_ends() {
    for required in [true, false] {
        // Nothing is written, since the thread never comes.
        let (handle, mut writer) = parts(Path::new("/nowhere/audit.jsonl"), required);
        assert!(!handle.is_stuck(STUCK_AFTER), "it has just begun");
        assert!(handle.is_stuck(Duration::ZERO));
        assert_eq!(is_ready(&handle), !required);
        assert!(!handle.queue(record(true).0), "no call is made meanwhile");
        assert!(handle.queue(record(false).0), "what was done is kept");
        assert_eq!(counts(&handle), [0, 2]);
        writer.works();
        assert!(is_ready(&handle));
        assert!(handle.queue(record(true).0));
    }
}

#[test]
fn a_thread_that_waits_for_records_is_not_stuck() {
    let (handle, _) = parts(Path::new("/nowhere/audit.jsonl"), true);
    thread::scope(|scope| {
        scope.spawn(|| handle.queue.wait(Instant::now() + Duration::from_secs(60)));
        while handle.queue.notice_stuck(Duration::ZERO) {
            // It has not begun to wait.
            handle.queue.came_back();
            thread::yield_now();
        }
        handle.queue.close();
    });
}

/// The event of the last record of a file.
fn last_event(path: &Path) -> String {
    let file = fs::File::open(path).unwrap();
    FileTail::read(&file).unwrap().last.unwrap().event
}

#[test]
fn a_file_that_was_renamed_back_ends_with_a_record_of_each_renaming() {
    let folder = std::env::temp_dir().join(format!("audit-back-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (path, old) = (folder.join("audit.jsonl"), folder.join("old"));
    let (handle, mut writer) = parts(&path, false);
    for _ in 0..2 {
        assert!(handle.queue(record(false).0));
        writer.take(handle.queue.wait(Instant::now()));
        assert!(writer.write());
        assert_eq!(last_event(&path), "verify");
        fs::rename(&path, &old).unwrap();
        assert!(writer.write());
        assert_eq!(last_event(&old), "rotate");
        assert_eq!(last_event(&path), "continue");
        // In the place of the new file.
        fs::rename(&old, &path).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_record_whose_request_is_gone_is_not_written_and_is_no_failure() {
    let folder = std::env::temp_dir().join(format!("audit-gone-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (handle, mut writer) = parts(&folder.join("audit.jsonl"), true);
    let (begun, waiting) = record(true);
    assert!(handle.queue(begun));
    drop(waiting);
    writer.take(handle.queue.wait(Instant::now()));
    assert!(writer.write());
    assert_eq!(counts(&handle), [0, 0]);
    let text = fs::read_to_string(&writer.path).unwrap();
    assert!(
        text.contains("\"start\"") && !text.contains("\"verify\""),
        "{text}"
    );
    handle.timed_out();
    assert_eq!(counts(&handle), [0, 1], "one that waited in vain is");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_record_that_was_waited_for_in_vain_and_then_fails_counts_once() {
    let (handle, mut writer) = parts(Path::new("/nowhere/audit.jsonl"), true);
    let (begun, waiting) = record(true);
    let (made, _told) = record(false);
    assert!(handle.queue(begun) && handle.queue(made));
    writer.take(handle.queue.wait(Instant::now()));
    // Meanwhile the write has begun.
    handle.timed_out();
    drop(waiting);
    writer.fails(&AuditWriteError::NoReader);
    assert_eq!(counts(&handle), [0, 2], "one of each");
}
