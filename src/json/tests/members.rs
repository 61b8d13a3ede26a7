//! Compares members read at once with the same members byte by byte, which can't be read at once:
//! one document must have one outcome.

use super::*;

const NAMES: [&str; 8] = [
    "a",
    "b",
    "code",
    "result",
    "a_rather_long_name",
    "\\u0061",
    "n\u{e4}me",
    "",
];

const VALUES: [&str; 32] = [
    "0",
    "-0",
    "7",
    "120",
    "-3.25",
    "0.0",
    "1e5",
    "2.5E-3",
    "true",
    "false",
    "null",
    "\"\"",
    "\"text\"",
    "\"rather long text\"",
    "\"\\n\"",
    "\"\u{e4}\"",
    "{}",
    "{\"a\":1,\"b\":\"x\"}",
    "{ \"a\" : 1 , \"a\" : 2 }",
    "[1,\"a\",{\"b\":2}]",
    "01",
    "-",
    "1.",
    ".5",
    "+1",
    "1e",
    "tru",
    "truee",
    "nul",
    "\"\u{1}\"",
    "\"open",
    "",
];

fn rules() -> Vec<CutRules> {
    let with = |change: fn(&mut CutRules)| {
        let mut rules = CutRules::new();
        change(&mut rules);
        rules
    };
    vec![
        with(|_| {}),
        with(|rules| rules.keep_only(["a", "code"])),
        with(|rules| rules.remove(&pointer("b"))),
        with(|rules| rules.remove(&pointer("result.a"))),
        with(|rules| rules.remove_longer(6)),
        with(|rules| rules.watch_root()),
        with(|rules| rules.allow_only(&[pointer("code"), pointer("result.b")])),
        with(|rules| {
            rules.allow_only(&["result.a", "a.b", "b[].a", "code"].map(pointer));
            rules.capture(&pointer("result.b"));
            rules.remove_longer(6);
        }),
        with(|rules| {
            for wanted in ["b", "a", "result.a", "a_rather_long_name"] {
                rules.capture(&pointer(wanted));
            }
            rules.remove_longer(10);
        }),
        with(|rules| {
            rules.capture(&pointer("code"));
            rules.replace(&pointer("a"));
            rules.stream(&pointer("b"));
        }),
    ]
}

fn blanks() -> impl Strategy<Value = &'static str> {
    prop_oneof![5 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r ")]
}

/// A member that is nearly always well-formed up to its value, which often is not.
fn member() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => proptest::sample::select(&VALUES[..20]),
        1 => proptest::sample::select(&VALUES[20..]),
    ];
    let colon = prop_oneof![30 => Just(":"), 1 => Just(""), 1 => Just("::")];
    let name = proptest::sample::select(&NAMES[..]);
    (blanks(), name, blanks(), colon, blanks(), value, blanks()).prop_map(
        |(before, name, front, colon, behind, value, after)| {
            format!("{before}\"{name}\"{front}{colon}{behind}{value}{after}")
        },
    )
}

fn document() -> impl Strategy<Value = String> {
    let comma = prop_oneof![40 => Just(","), 1 => Just(""), 1 => Just(",,"), 1 => Just(";")];
    let end = prop_oneof![8 => Just("}"), 1 => Just(""), 1 => Just("]"), 1 => Just(",}")];
    let members = proptest::collection::vec((member(), comma), 0..6);
    (members, end).prop_map(|(members, end)| {
        let last = members.len().saturating_sub(1);
        let members = members.iter().enumerate();
        let members: String = members
            .map(|(at, (member, comma))| format!("{member}{}", if at < last { comma } else { "" }))
            .collect();
        format!("{{{members}{end}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_document_has_one_outcome_at_once_or_byte_by_byte(
        text in document(),
        split in 0..80_usize,
    ) {
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        let (front, rear) = text.as_bytes().split_at(split.min(text.len()));
        for rules in rules() {
            let slowly = cut(&rules, &bytes);
            prop_assert_eq!(&cut(&rules, &[text.as_bytes()]), &slowly, "{}", text);
            prop_assert_eq!(&cut(&rules, &[front, rear]), &slowly, "{} at {}", text, split);
        }
    }
}

#[test]
fn only_well_formed_members_are_read_at_once() {
    let text = concat!(
        r#"{"error_code": 0, "log_id":4202693857,"cached":-1.5,"ok":true,"#,
        r#""result":{"session_id":"S1","code":"0"},"last":null}"#,
    )
    .as_bytes();
    let rules = CutRules::new();
    assert_eq!(cut(&rules, &[text]).unwrap().0, text);
    let at_once = |text: &str| super::super::member::read(text.as_bytes(), 0).is_some();
    for good in [
        "\"a\":1,",
        " \"a\" : \"b\" }",
        "\"a\":true\n,",
        "\"a\":-0.5,",
    ] {
        assert!(at_once(good), "{good}");
    }
    for bad in [
        "\"a\":01,",
        "\"a\":1",
        "\"a\":1;",
        "\"a\":.5,",
        "\"a\":1.,",
        "\"a\":-,",
        "\"a\":truth,",
        "\"a\"1,",
        "\"a\":\"b,",
        "\"a\\n\":1,",
        "a:1,",
    ] {
        assert!(!at_once(bad), "{bad}");
    }
}
