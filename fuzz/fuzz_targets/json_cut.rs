//! Arbitrary documents in arbitrary pieces, cut by a few sets of rules: the output equals the
//! document with the same values deleted from a tree, and the captured values are those of the
//! tree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::json::{
    CutError,
    cut::JsonCut,
    letters::all_letters,
    rules::CaptureSlot,
    sink::{CapturedValue, CutSink},
};
use liveness_gateway_fuzz::{
    arrival,
    reference::{self, ReferenceOutcome, ReferenceRules},
};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let Some((parts, document)) = arrival(data) else {
        return;
    };
    let wanted = wanted(choice.wrapping_sub(b'0'));
    let rules = wanted.rules();
    let run = |parts: &[&[u8]]| -> Result<(Vec<u8>, String, Vec<CapturedValue>), CutError> {
        let mut cut = JsonCut::new(&rules);
        let mut kept = Kept::default();
        for part in parts {
            cut.feed(part, &mut kept)?;
        }
        let values = cut.finish()?;
        let streamed = String::from_utf8(kept.streamed).expect("a string must be UTF-8");
        Ok((kept.bytes, streamed, values))
    };
    let ours = run(&parts);
    assert_eq!(ours, run(&[document]), "split and whole differ");
    let ours = ours.ok().map(|(kept, streamed, values)| ReferenceOutcome {
        kept: reference::parse(&kept).expect("what stays must be JSON"),
        values,
        streamed,
    });
    assert_eq!(ours, wanted.cut(document));
});

/// Rules of every kind, alone and combined. The last five resemble those of the two forms of a
/// request, of the two kinds of a response, and of a response without scores.
fn wanted(choice: u8) -> ReferenceRules {
    let list = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
    let keep = |text: &str| Some(list(text));
    let none = ReferenceRules::default();
    match choice % 16 {
        0 => none,
        1 => ReferenceRules {
            watch_root: true,
            remove_longer: Some(5),
            ..none
        },
        2 => ReferenceRules {
            keep_only: keep("a b"),
            ..none
        },
        3 => ReferenceRules {
            keep_only: keep("a"),
            remove: list("a.b a.c[]"),
            capture: list("a.a a.d"),
            remove_longer: Some(8),
            ..none
        },
        4 => ReferenceRules {
            remove: list("a b.a b[].a c[][].a d[]"),
            ..none
        },
        5 => ReferenceRules {
            remove: list("a.b.c a.b.d[].e"),
            remove_longer: Some(9),
            watch_root: true,
            ..none
        },
        6 => ReferenceRules {
            capture: list("a b a.a a.b[] c[].a"),
            ..none
        },
        7 => ReferenceRules {
            capture: list("b"),
            stream: list("a c.a d[]"),
            remove: list("c"),
            remove_longer: Some(12),
            ..none
        },
        8 => ReferenceRules {
            keep_only: keep("session_id video_base64 face_field"),
            capture: list("session_id face_field"),
            stream: list("video_base64"),
            ..none
        },
        9 => ReferenceRules {
            replace: list("a b[] c.a"),
            remove: list("c.b"),
            capture: list("c.d"),
            remove_longer: Some(7),
            ..none
        },
        10 => ReferenceRules {
            keep_only: keep("session_id video_base64 face_field"),
            replace: list("session_id"),
            stream: list("video_base64"),
            ..none
        },
        11 => ReferenceRules {
            allow_only: keep("a b.a b.c[] c[].a c[][].b a.d"),
            remove: list("a.b b.c[].a"),
            capture: list("b.b c[].c d"),
            ..none
        },
        12 => ReferenceRules {
            allow_only: keep("a.a a.b.c b[] d[].d"),
            replace: list("a.b.c b[] c"),
            remove_longer: Some(8),
            ..none
        },
        13 => ReferenceRules {
            allow_only: keep("error_code error_msg serverlogid result.session_id result.code"),
            capture: list("error_code serverlogid"),
            replace: list("result.session_id"),
            ..none
        },
        14 => ReferenceRules {
            allow_only: keep("error_code error_msg serverlogid result.action_verify"),
            remove: list("result.best_image.pic result.pic_list[].pic verdict"),
            capture: list("error_code result.score result.thresholds.frr_1e-3"),
            remove_longer: Some(64),
            ..none
        },
        _ => ReferenceRules {
            allow_only: keep(concat!(
                "error_code error_msg serverlogid result.score result.thresholds ",
                "result.best_image.liveness_score result.best_image.quality ",
                "result.pic_list[].liveness_score result.pic_list[].quality",
            )),
            remove: list("result.best_image.pic result.pic_list[].pic"),
            capture: list("error_code serverlogid result.thresholds.frr_1e-3"),
            remove_longer: Some(64),
            ..none
        },
    }
}

/// A sink that keeps the bytes that stay, and never removes bytes before the mark.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    mark: usize,
    streamed: Vec<u8>,
}

impl CutSink for Kept {
    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn mark(&mut self) {
        self.mark = self.bytes.len();
    }

    fn rollback(&mut self) {
        self.bytes.truncate(self.mark);
    }

    fn text(&mut self, bytes: &[u8], letters: bool) {
        assert!(!letters || all_letters(bytes));
        self.streamed.extend_from_slice(bytes);
    }

    fn replace(&mut self, slot: CaptureSlot, value: &CapturedValue) {
        self.bytes
            .extend_from_slice(reference::replaced(slot, value).as_bytes());
    }
}
