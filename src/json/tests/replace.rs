//! Replaced values, members appended at the end, and when bytes are settled.

use super::{
    super::{
        cut::JsonCut,
        rules::{CaptureSlot, CutRules},
        sink::{BufferSink, CapturedValue, CutSink},
    },
    pointer,
};

/// Collects what stays, and writes `"<value>"` for each replaced value.
#[derive(Default)]
struct ReplacingSink {
    kept: BufferSink,
    /// Number of bytes kept at the last mark.
    marked: usize,
}

impl CutSink for ReplacingSink {
    fn keep(&mut self, bytes: &[u8]) {
        self.kept.keep(bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.kept.insert(bytes);
    }

    fn mark(&mut self) {
        self.kept.mark();
        self.marked = self.kept.len();
    }

    fn rollback(&mut self) {
        self.kept.rollback();
    }

    fn text(&mut self, _: &[u8], _: bool) {}

    fn replace(&mut self, _: CaptureSlot, value: &CapturedValue) {
        let shown = format!("{value:?}").replace('"', "'");
        self.kept.keep(format!("\"<{shown}>\"").as_bytes());
    }
}

#[test]
fn a_replaced_value_is_decoded_and_its_bytes_are_removed_however_they_arrive() {
    let mut rules = CutRules::new();
    rules.keep_only(["a", "id", "z"]);
    rules.replace(&pointer("id"));
    rules.replace(&pointer("z.id"));
    for (text, wanted) in [
        (
            r#"{"a":1,"id" : "x\u0041\n" ,"z":2}"#,
            r#"{"a":1,"id" : "<String('xA\n')>" ,"z":2}"#,
        ),
        (r#"{"id":12,"no":3}"#, r#"{"id":"<Number('12')>"}"#),
        (r#"{"no":3,"id":true}"#, r#"{"id":"<Bool(true)>"}"#),
        (r#"{"id":{"id":"x"}}"#, r#"{"id":{"id":"x"}}"#),
        (
            r#"{"a":[],"z":{"b":1,"id":"q"},"id":""}"#,
            r#"{"a":[],"z":{"b":1,"id":"<String('q')>"},"id":"<String('')>"}"#,
        ),
    ] {
        for step in 1..=text.len() {
            let mut cut = JsonCut::new(&rules);
            let mut sink = ReplacingSink::default();
            for part in text.as_bytes().chunks(step) {
                cut.feed(part, &mut sink).unwrap();
            }
            cut.finish().unwrap();
            assert_eq!(
                String::from_utf8(sink.kept.into_bytes()).unwrap(),
                wanted,
                "{step}"
            );
        }
    }
}

#[test]
fn a_long_string_that_stays_is_settled_chunk_by_chunk() {
    let mut rules = CutRules::new();
    rules.keep_only(["a"]);
    let mut cut = JsonCut::new(&rules);
    let mut sink = ReplacingSink::default();
    cut.feed(b"{\"a\":\"", &mut sink).unwrap();
    for part in 1..5 {
        cut.feed(&[b'x'; 100], &mut sink).unwrap();
        assert_eq!(sink.marked, 6 + part * 100);
    }
}

/// Appends a member at the end of the root.
#[derive(Default)]
struct AppendingSink(BufferSink);

impl CutSink for AppendingSink {
    fn keep(&mut self, bytes: &[u8]) {
        self.0.keep(bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.0.insert(bytes);
    }

    fn mark(&mut self) {
        self.0.mark();
    }

    fn rollback(&mut self) {
        self.0.rollback();
    }

    fn text(&mut self, _: &[u8], _: bool) {}

    fn replace(&mut self, _: CaptureSlot, _: &CapturedValue) {}

    fn end(&mut self, empty: bool) {
        self.0.insert(if empty { b"\"x\":1" } else { b",\"x\":1" });
    }
}

#[test]
fn members_are_appended_only_at_the_end_of_the_root_however_it_arrives() {
    let mut rules = CutRules::new();
    rules.watch_root();
    rules.remove(&pointer("x"));
    for (text, wanted) in [
        ("{}", "{\"x\":1}"),
        (" { } ", " { \"x\":1} "),
        ("{\"x\":{\"x\":{}}}", "{\"x\":1}"),
        ("{\"\\u0078\":2, \"a\":{} }\n", "{ \"a\":{} ,\"x\":1}\n"),
        (
            "{\"a\":[{\"x\":2}],\"x\":[{}]}",
            "{\"a\":[{\"x\":2}],\"x\":1}",
        ),
    ] {
        for size in 1..=text.len() {
            let mut sink = AppendingSink::default();
            let mut cut = JsonCut::new(&rules);
            for chunk in text.as_bytes().chunks(size) {
                cut.feed(chunk, &mut sink).unwrap();
            }
            cut.finish().unwrap();
            let kept = String::from_utf8(sink.0.into_bytes()).unwrap();
            assert_eq!(kept, wanted, "{text} in {size}");
        }
    }
}
