//! What an allow-list lets pass, and which names are reported of what it keeps back.

use proptest::{prelude::*, string::string_regex};
use serde_json::Value as Tree;

use super::{super::sink::CutSink, *};

fn only(paths: &[&str]) -> CutRules {
    let mut rules = CutRules::new();
    let paths: Vec<_> = paths.iter().map(|path| pointer(path)).collect();
    rules.allow_only(&paths);
    rules
}

#[test]
fn only_what_is_allowed_passes_with_all_that_is_in_it() {
    let rules = only(&[
        "code",
        "result.score",
        "result.list[].quality",
        "result.all",
    ]);
    for (text, wanted) in [
        (r#"{"code":0,"new":1}"#, r#"{"code":0}"#),
        (r#"{"new":1,"code":0}"#, r#"{"code":0}"#),
        (
            r#"{"result":{"score":1,"new":{"score":2},"all":{"x":[1,{"y":"z"}]}}}"#,
            r#"{"result":{"score":1,"all":{"x":[1,{"y":"z"}]}}}"#,
        ),
        (
            r#"{"result":{"list":[{"pic":"x","quality":{"a":1}},{"pic":"y"},{}]}}"#,
            r#"{"result":{"list":[{"quality":{"a":1}},{},{}]}}"#,
        ),
        (r#"{"result":null,"code":7}"#, r#"{"result":null,"code":7}"#),
        ("{}", "{}"),
        (r#"{"\u0063ode":0,"c\u006fde ":1}"#, r#"{"\u0063ode":0}"#),
    ] {
        assert_eq!(cut_text(&rules, text), wanted, "{text}");
    }
    assert_eq!(cut_text(&only(&[]), r#"{"code":0,"a":[1]}"#), "{}");
    assert_eq!(
        cut_text(&only(&["a", "a.b"]), r#"{"a":[1],"b":2}"#),
        r#"{"a":[1]}"#
    );
}

/// A picture in small pieces could stand where an object or an array is expected.
#[test]
fn nothing_of_another_shape_passes_on_the_way_to_what_is_allowed() {
    let rules = only(&["result.score", "result.list[].quality"]);
    for (text, wanted) in [
        (r#"{"result":"piece"}"#, "{}"),
        (r#"{"result":12,"result2":1}"#, "{}"),
        (r#"{"result":true}"#, "{}"),
        (
            r#"{"result":["piece",{"score":1}]}"#,
            r#"{"result":[null,null]}"#,
        ),
        (r#"{"result":{"list":"piece"}}"#, r#"{"result":{}}"#),
        (
            r#"{"result":{"list":["a",1,null,[1],{}]}}"#,
            r#"{"result":{"list":[null,null,null,[null],{}]}}"#,
        ),
        (
            r#"{"result":{"list":{"quality":"piece"}}}"#,
            r#"{"result":{"list":{}}}"#,
        ),
    ] {
        assert_eq!(cut_text(&rules, text), wanted, "{text}");
    }
}

#[test]
fn what_is_not_allowed_is_captured_nevertheless() {
    let mut rules = only(&["code", "result.score.x"]);
    let slots =
        ["result.score", "result.deep.er", "list[].a"].map(|path| rules.capture(&pointer(path)));
    let text = r#"{"list":[{"a":"z"}],"result":{"deep":{"er":"b"},"score":0.5},"code":0}"#;
    for split in [1, 5, text.len()] {
        let parts: Vec<&[u8]> = text.as_bytes().chunks(split).collect();
        let (kept, values) = cut(&rules, &parts).unwrap();
        assert_eq!(kept, br#"{"result":{},"code":0}"#);
        let values = slots.map(|slot| values[slot].clone());
        let wanted = [
            CapturedValue::Number("0.5".into()),
            CapturedValue::String("b".into()),
            CapturedValue::String("z".into()),
        ];
        assert_eq!(values, wanted);
    }
}

#[test]
fn duplicates_are_rejected_on_the_way_to_what_is_allowed() {
    let rules = only(&["a.b", "list[].c"]);
    for text in [
        r#"{"x":1,"x":2}"#,
        r#"{"a":{"x":1,"x":2}}"#,
        r#"{"a":{"b":1,"\u0062":2}}"#,
        r#"{"list":[{"c":1,"c":2}]}"#,
    ] {
        let outcome = cut(&rules, &[text.as_bytes()]);
        assert_eq!(outcome, Err(CutError::DuplicateKey), "{text}");
    }
    let inside = r#"{"a":{"b":{"x":1,"x":2}}}"#;
    assert_eq!(cut_text(&rules, inside), inside);
}

/// Collects the names of what is kept back.
#[derive(Default)]
struct NamesSink(Vec<String>);

impl CutSink for NamesSink {
    fn keep(&mut self, _: &[u8]) {}
    fn insert(&mut self, _: &'static [u8]) {}
    fn mark(&mut self) {}
    fn rollback(&mut self) {}
    fn text(&mut self, _: &[u8], _: bool) {}
    fn kept_back(&mut self, name: &[u8]) {
        self.0.push(String::from_utf8_lossy(name).into_owned());
    }
}

#[test]
fn names_that_no_rule_has_are_reported_however_the_document_is_split() {
    let mut rules = only(&["a.b", "list[].c", "long"]);
    rules.remove(&pointer("a.pic"));
    rules.capture(&pointer("a.seen"));
    rules.name(&pointer("a.hidden"));
    rules.remove_longer(9);
    let text = concat!(
        r#"{"n\u0065w":{"inner":1},"a":{"b":{"x":1},"pic":"y","seen":1,"hidden":2,"n2":[1]},"#,
        r#""list":[{"c":1,"n3":2},7],"long":"0123456789","list2":["0123456789"],"#,
        r#""0123456789":1,"a2":null}"#
    );
    for split in [1, 2, 3, 7, text.len()] {
        let mut cut = JsonCut::new(&rules);
        let mut names = NamesSink::default();
        for part in text.as_bytes().chunks(split) {
            cut.feed(part, &mut names).unwrap();
        }
        cut.finish().unwrap();
        let wanted = ["new", "n2", "n3", "long", "list2", "0123456789", "a2"];
        assert_eq!(names.0, wanted, "{split}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_cut_by_an_allow_list_equals_deleting_from_a_tree(
        members in prop::collection::btree_map(string_regex("[abc]{1,2}").unwrap(), tree(), 0..6),
        allowed in prop::collection::vec(
            string_regex("[abc]{1,2}(\\[\\]){0,2}(\\.[abc]{1,2}(\\[\\])?){0,2}").unwrap(),
            0..5,
        ),
        remove in prop::collection::vec(
            string_regex("[abc]{1,2}(\\[\\])?(\\.[abc]{1,2})?").unwrap(), 0..3,
        ),
        capture in prop::collection::btree_set(
            string_regex("[abc](\\[\\])?(\\.[abc]{1,2}){0,2}").unwrap(), 0..3,
        ),
        longest in 5usize..14,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = serde_json::to_vec(&Tree::Object(members.into_iter().collect())).unwrap();
        let wanted = ReferenceRules {
            allow_only: Some(allowed),
            remove,
            capture: capture.into_iter().collect(),
            remove_longer: Some(longest),
            ..ReferenceRules::default()
        };
        let (kept, values) = cut(&wanted.rules(), &split_at(&text, &cuts)).unwrap();
        let expected = wanted.cut(&text).unwrap();
        prop_assert_eq!(reference::parse(&kept), Some(expected.kept));
        prop_assert_eq!(values, expected.values);
    }
}
