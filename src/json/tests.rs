//! Compares the scanner and the cut with `serde_json`, however the input is split.

mod allowed;
mod members;
#[allow(
    unreachable_pub,
    reason = "the fuzz targets include the same file as a public module"
)]
mod reference;
mod replace;

use proptest::{prelude::*, string::string_regex};
use serde_json::{Value as Tree, json};

use self::reference::ReferenceRules;
use super::{
    CutError, ScanError,
    cut::JsonCut,
    rules::{CutRules, MemberPath},
    scanner::JsonScanner,
    sink::{BufferSink, CapturedValue},
};
use crate::json;

fn scan(parts: &[&[u8]]) -> Result<(), ScanError> {
    let mut scanner = JsonScanner::default();
    for part in parts {
        let mut at = 0;
        while scanner.next(part, &mut at)?.is_some() {}
        assert_eq!(at, part.len());
    }
    scanner.finish().map(|_| ())
}

fn cut(rules: &CutRules, parts: &[&[u8]]) -> Result<(Vec<u8>, Vec<CapturedValue>), CutError> {
    let mut cut = JsonCut::new(rules);
    let mut kept = BufferSink::default();
    for part in parts {
        cut.feed(part, &mut kept)?;
    }
    Ok((kept.into_bytes(), cut.finish()?))
}

fn cut_text(rules: &CutRules, text: &str) -> String {
    String::from_utf8(cut(rules, &[text.as_bytes()]).unwrap().0).unwrap()
}

fn pointer(text: &str) -> MemberPath {
    MemberPath::parse(text).unwrap()
}

#[test]
fn texts_that_rfc_8259_does_not_allow_are_rejected() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "nul",
        "True",
        "\"\u{1}\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "'a'",
        "1 2",
        "{} {}",
        "[}",
        "{]",
        "\u{feff}{}",
        "\"a",
        "NaN",
        "Infinity",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "// c\n1",
    ] {
        assert!(scan(&[text.as_bytes()]).is_err(), "{text}");
    }
    for bytes in [
        b"\"\xff\"".as_slice(),
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xe2\x82\"",
        b"\xff",
    ] {
        assert!(scan(&[bytes]).is_err(), "{bytes:?}");
    }
}

#[test]
fn nesting_deeper_than_the_limit_is_rejected() {
    let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    assert_eq!(scan(&[&nested(32)]), Ok(()));
    assert_eq!(scan(&[&nested(33)]), Err(ScanError::Depth));
}

#[test]
fn unlisted_members_are_removed_and_the_rest_keeps_its_bytes() {
    let mut rules = CutRules::new();
    rules.keep_only(["a", "c"]);
    for (text, wanted) in [
        (r#"{"a":1,"c":2}"#, r#"{"a":1,"c":2}"#),
        (
            "{ \"a\" : 1 , \"c\" : [ 2 ] }",
            "{ \"a\" : 1 , \"c\" : [ 2 ] }",
        ),
        (r#"{"b":1,"a":1.0}"#, r#"{"a":1.0}"#),
        (r#"{"a":1,"b":{"a":[1,2,{}]},"c":2}"#, r#"{"a":1,"c":2}"#),
        (r#"{"x":0,"y":"}","c":2,"z":[]}"#, r#"{"c":2}"#),
        (r#"{"x":0}"#, "{}"),
        ("{}", "{}"),
        (r#"{"\u0061":1,"\u0062":2}"#, r#"{"\u0061":1}"#),
    ] {
        assert_eq!(cut_text(&rules, text), wanted, "{text}");
    }
}

#[test]
fn listed_values_and_long_strings_are_removed() {
    let mut rules = CutRules::new();
    rules.remove(&pointer("result.best.pic"));
    rules.remove(&pointer("result.list[].pic"));
    rules.remove_longer(8);
    for (text, wanted) in [
        (
            r#"{"result":{"best":{"pic":"x","s":1}}}"#,
            r#"{"result":{"best":{"s":1}}}"#,
        ),
        (
            r#"{"result":{"best":{"p\u0069c":{"deep":[1]},"s":1}}}"#,
            r#"{"result":{"best":{"s":1}}}"#,
        ),
        (
            r#"{"result":{"list":[{"pic":"x"},{"s":1,"pic":2},[],{"a":1}]}}"#,
            r#"{"result":{"list":[{},{"s":1},[],{"a":1}]}}"#,
        ),
        // Not the shape that the rules expect: what was to be removed may be anywhere in it.
        (
            r#"{"result":{"best":[{"pic":"x"},1],"list":{"pic":"x","0":{"pic":"x"}}}}"#,
            r#"{"result":{"best":[null,null],"list":{}}}"#,
        ),
        (
            r#"{"result":[{"best":{"pic":"x"}}],"s":1}"#,
            r#"{"result":[null],"s":1}"#,
        ),
        (
            r#"{"result":{"best":[],"list":{}}}"#,
            r#"{"result":{"best":[],"list":{}}}"#,
        ),
        (r#"{"new":"0123456789","s":1}"#, r#"{"s":1}"#),
        (
            r#"{"new":["0123456789","short",123456789012]}"#,
            r#"{"new":[null,"short",null]}"#,
        ),
        (r#"{"0123456789":1,"s":"01234567"}"#, r#"{"s":"01234567"}"#),
        (r#"{"s":"\u0041\u0041"}"#, "{}"),
        (r#"{"\u0041\u0041":1,"s":"A"}"#, r#"{"s":"A"}"#),
    ] {
        assert_eq!(cut_text(&rules, text), wanted, "{text}");
    }
}

#[test]
fn duplicates_are_rejected_only_where_they_matter() {
    let mut rules = CutRules::new();
    rules.remove(&pointer("result.pic"));
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"result":{"b":1,"b":2}}"#,
    ] {
        assert_eq!(
            cut(&rules, &[text.as_bytes()]),
            Err(CutError::DuplicateKey),
            "{text}"
        );
    }
    assert_eq!(
        cut_text(&rules, r#"{"x":{"a":1,"a":2}}"#),
        r#"{"x":{"a":1,"a":2}}"#
    );
}

#[test]
fn only_an_object_can_be_cut() {
    for text in ["[]", "1", "null", "\"{}\"", " [{}]"] {
        assert_eq!(
            cut(&CutRules::new(), &[text.as_bytes()]),
            Err(CutError::NotAnObject),
            "{text}"
        );
    }
}

/// Long strings are reported in runs of 32 KiB; their ends must make no difference.
#[test]
fn nothing_is_lost_where_a_run_of_a_long_string_ends() {
    let wanted = ReferenceRules {
        stream: vec!["a".into()],
        ..ReferenceRules::default()
    };
    let rules = wanted.rules();
    for special in [
        "",
        "é",
        "😀",
        "\\n",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\u{1}",
        "\\x",
    ] {
        for length in 32 * 1024 - 16..=32 * 1024 + 2 {
            let text = format!("{{\"a\":\"{}{special}\"}}", "x".repeat(length));
            let ours = cut(&rules, &[text.as_bytes()]).ok().map(|(kept, _)| kept);
            let theirs = wanted.cut(text.as_bytes()).map(|_| text.into_bytes());
            assert!(ours == theirs, "{special} behind {length} bytes");
        }
    }
}

#[test]
fn captured_values_are_decoded() {
    let mut rules = CutRules::new();
    let slots: Vec<_> = ["s", "n", "b", "o", "gone", "long"]
        .iter()
        .map(|name| rules.capture(&pointer(name)))
        .collect();
    rules.remove(&pointer("s"));
    let long = "x".repeat(5000);
    let text =
        format!(r#"{{"s":"a\u00e9\ud83d\ude00\/","n":-1.50e3 ,"b":true,"o":[1],"long":"{long}"}}"#);
    for split in [1, 7, text.len()] {
        let parts: Vec<&[u8]> = text.as_bytes().chunks(split).collect();
        let (_, values) = cut(&rules, &parts).unwrap();
        let wanted = [
            CapturedValue::String("aé😀/".into()),
            CapturedValue::Number("-1.50e3".into()),
            CapturedValue::Bool(true),
            CapturedValue::Container,
            CapturedValue::Absent,
            CapturedValue::TooLong,
        ];
        for (slot, wanted) in slots.iter().zip(wanted) {
            assert_eq!(values[*slot], wanted);
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i32>().prop_map(Tree::from),
        (-1e9..1e9f64).prop_map(|number| json!(number)),
        string_regex("[a-zé😀\"\\\\\n/]{0,12}")
            .unwrap()
            .prop_map(Tree::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
            prop::collection::btree_map(string_regex("[abcé\"]{1,2}").unwrap(), inner, 0..5)
                .prop_map(|members| Tree::Object(members.into_iter().collect())),
        ]
    })
}

fn split_at<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut points: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    points.sort_unstable();
    let mut parts = Vec::new();
    let mut from = 0;
    for point in points {
        parts.push(&bytes[from..point]);
        from = point;
    }
    parts.push(&bytes[from..]);
    parts
}

proptest! {
    #[test]
    fn the_scanner_accepts_exactly_what_serde_json_accepts(
        tree in tree(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        pretty in any::<bool>(),
    ) {
        let bytes = match pretty {
            true => serde_json::to_vec_pretty(&tree),
            false => serde_json::to_vec(&tree),
        };
        let mut bytes = bytes.unwrap();
        for (index, byte) in flips {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let ours = scan(&split_at(&bytes, &cuts)).is_ok();
        let theirs = reference::parse(&bytes).is_some();
        prop_assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_cut_equals_deleting_from_a_tree(
        members in prop::collection::btree_map(string_regex("[abcé]{1,2}").unwrap(), tree(), 0..6),
        paths in prop::collection::vec(
            "[abc]{1,2}(\\[\\]){0,2}(\\.[abc]{1,2}(\\[\\])?){0,2}",
            0..4,
        ),
        longest in 5usize..14,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = serde_json::to_vec(&Tree::Object(members.into_iter().collect())).unwrap();
        let wanted = ReferenceRules {
            remove: paths,
            remove_longer: Some(longest),
            ..ReferenceRules::default()
        };
        let (kept, _) = cut(&wanted.rules(), &split_at(&text, &cuts)).unwrap();
        let expected = wanted.cut(&text).map(|outcome| outcome.kept);
        prop_assert_eq!(reference::parse(&kept), expected);
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut rules = CutRules::new();
        rules.keep_only(["a"]);
        rules.remove_longer(4);
        let _ = cut(&rules, &[&bytes]);
    }
}
