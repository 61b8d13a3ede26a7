//! The scanner and the cut against `serde_json`, however the input is split.

mod replace;

use proptest::prelude::*;
use serde_json::{Value as Tree, json};

use super::{
    cut::{Cut, CutError},
    pointer::{Pointer, Step},
    rules::Rules,
    scanner::{Error, Scanner},
    sink::Buffer,
    value::Value,
};

fn scan(parts: &[&[u8]]) -> Result<(), Error> {
    let mut scanner = Scanner::default();
    for part in parts {
        let mut at = 0;
        while scanner.next(part, &mut at)?.is_some() {}
        assert_eq!(at, part.len());
    }
    scanner.finish().map(|_| ())
}

fn cut(rules: &Rules, parts: &[&[u8]]) -> Result<(Vec<u8>, Vec<Value>), CutError> {
    let mut cut = Cut::new(rules);
    let mut kept = Buffer::default();
    for part in parts {
        cut.feed(part, &mut kept)?;
    }
    Ok((kept.into_bytes(), cut.finish()?))
}

fn cut_text(rules: &Rules, text: &str) -> String {
    String::from_utf8(cut(rules, &[text.as_bytes()]).unwrap().0).unwrap()
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

#[test]
fn what_rfc_8259_does_not_allow_is_refused() {
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
fn depth_is_limited() {
    let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    assert_eq!(scan(&[&nested(32)]), Ok(()));
    assert_eq!(scan(&[&nested(33)]), Err(Error::Depth));
}

#[test]
fn members_outside_the_list_go_and_the_rest_keeps_its_bytes() {
    let mut rules = Rules::new();
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
fn removed_places_and_long_strings_go() {
    let mut rules = Rules::new();
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
        (r#"{"new":"0123456789","s":1}"#, r#"{"s":1}"#),
        (
            r#"{"new":["0123456789","short",123456789012]}"#,
            r#"{"new":[null,"short",null]}"#,
        ),
        (r#"{"0123456789":1,"s":"01234567"}"#, r#"{"s":"01234567"}"#),
        (r#"{"s":"\u0041\u0041"}"#, "{}"),
    ] {
        assert_eq!(cut_text(&rules, text), wanted, "{text}");
    }
}

#[test]
fn duplicates_are_refused_where_they_matter_and_only_there() {
    let mut rules = Rules::new();
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
            cut(&Rules::new(), &[text.as_bytes()]),
            Err(CutError::NotAnObject),
            "{text}"
        );
    }
}

#[test]
fn wanted_values_are_decoded() {
    let mut rules = Rules::new();
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
            Value::String("aé😀/".into()),
            Value::Number("-1.50e3".into()),
            Value::Bool(true),
            Value::Container,
            Value::Absent,
            Value::TooLong,
        ];
        for (slot, wanted) in slots.iter().zip(wanted) {
            assert_eq!(values[*slot], wanted);
        }
    }
}

/// The cut, done the slow way on a tree.
fn cut_tree(tree: &mut Tree, removed: &[Vec<Step>], longest: usize) {
    match tree {
        Tree::Object(members) => {
            members.retain(|name, value| {
                let here = |path: &&Vec<Step>| matches!(path.first(), Some(Step::Member(wanted)) if wanted == name);
                !long(value, longest) && name.len() <= longest && !removed.iter().filter(here).any(|path| path.len() == 1)
            });
            for (name, value) in members {
                let below = removed.iter().filter(
                    |path| matches!(path.first(), Some(Step::Member(wanted)) if wanted == name),
                );
                cut_tree(
                    value,
                    &below.map(|path| path[1..].to_vec()).collect::<Vec<_>>(),
                    longest,
                );
            }
        }
        Tree::Array(elements) => {
            let below: Vec<_> = removed
                .iter()
                .filter(|path| path.first() == Some(&Step::Elements))
                .map(|path| path[1..].to_vec())
                .collect();
            for element in elements {
                if long(element, longest) || below.iter().any(Vec::is_empty) {
                    *element = Tree::Null;
                } else {
                    cut_tree(element, &below, longest);
                }
            }
        }
        _ => {}
    }
}

fn long(value: &Tree, longest: usize) -> bool {
    match value {
        Tree::String(_) => value.to_string().len() - 2 > longest,
        Tree::Number(number) => number.to_string().len() > longest,
        _ => false,
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i32>().prop_map(Tree::from),
        (-1e9..1e9f64).prop_map(|number| json!(number)),
        "[a-zé😀\"\\\\\n/]{0,12}".prop_map(Tree::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
            prop::collection::btree_map("[abcé\"]{1,2}", inner, 0..5)
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
    fn accepts_what_serde_json_accepts(tree in tree(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3), pretty in any::<bool>()) {
        let mut bytes = if pretty { serde_json::to_vec_pretty(&tree) } else { serde_json::to_vec(&tree) }.unwrap();
        for (index, byte) in flips {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let ours = scan(&split_at(&bytes, &cuts)).is_ok();
        let theirs = serde_json::from_slice::<Tree>(&bytes);
        // A number too large for f64 is JSON all the same: the one place where serde_json's tree is narrower.
        prop_assume!(!matches!(&theirs, Err(error) if error.to_string().starts_with("number out of range")));
        let theirs = theirs.is_ok();
        prop_assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn cutting_is_deleting_from_the_tree(members in prop::collection::btree_map("[abcé]{1,2}", tree(), 0..6),
            paths in prop::collection::vec("[abc]{1,2}(\\[\\]){0,2}(\\.[abc]{1,2}(\\[\\])?){0,2}", 0..4),
            longest in 5usize..14, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut tree = Tree::Object(members.into_iter().collect());
        let mut rules = Rules::new();
        rules.remove_longer(longest);
        let pointers: Vec<_> = paths.iter().map(|path| pointer(path)).collect();
        pointers.iter().for_each(|pointer| rules.remove(pointer));
        let text = serde_json::to_vec(&tree).unwrap();
        let (kept, _) = cut(&rules, &split_at(&text, &cuts)).unwrap();
        cut_tree(&mut tree, &pointers.iter().map(|pointer| pointer.steps().to_vec()).collect::<Vec<_>>(), longest);
        prop_assert_eq!(serde_json::from_slice::<Tree>(&kept).unwrap(), tree);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut rules = Rules::new();
        rules.keep_only(["a"]);
        rules.remove_longer(4);
        let _ = cut(&rules, &[&bytes]);
    }
}
