//! Arbitrary bytes in arbitrary pieces: the scanner accepts exactly what `serde_json` accepts, and
//! its events are the tokens that `serde_json` parses.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::json::{
    ScanError,
    scanner::{JsonEvent, JsonScanner},
};
use liveness_gateway_fuzz::{
    arrival,
    reference::{self, ReferenceTree},
};

#[derive(Debug, PartialEq)]
enum Token {
    Event(JsonEvent),
    /// The decoded inside of a name or string, or a number or literal as written.
    Text(Vec<u8>),
}

#[derive(Default)]
struct Tokens(Vec<Token>);

fuzz_target!(|data: &[u8]| {
    let Some((parts, document)) = arrival(data) else {
        return;
    };
    let ours = scan(&parts);
    assert_eq!(ours, scan(&[document]), "split and whole differ");
    let theirs = reference::parse(document).map(|tree| {
        let mut tokens = Tokens::default();
        tokens.tree(&tree);
        tokens.0
    });
    assert_eq!(ours.ok(), theirs);
});

fn scan(parts: &[&[u8]]) -> Result<Vec<Token>, ScanError> {
    let mut scanner = JsonScanner::default();
    let mut tokens = Tokens::default();
    let mut in_scalar = false;
    for part in parts {
        let mut at = 0;
        loop {
            let before = at;
            let event = scanner.next(part, &mut at)?;
            assert!(at >= before && at <= part.len());
            let used = &part[before..at];
            match event {
                Some(JsonEvent::Text | JsonEvent::Letters) => tokens.text(used),
                Some(JsonEvent::Escaped(decoded)) => {
                    tokens.text(decoded.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(JsonEvent::ScalarStart) => {
                    in_scalar = true;
                    tokens.event(JsonEvent::ScalarStart);
                    tokens.text(&used[used.len() - 1..]);
                }
                Some(event) => {
                    if in_scalar {
                        tokens.text(used);
                        in_scalar = false;
                    }
                    tokens.event(event);
                }
                None => {
                    if in_scalar {
                        tokens.text(used);
                    }
                    assert_eq!(at, part.len(), "bytes are left");
                    break;
                }
            }
        }
    }
    if let Some(event) = scanner.finish()? {
        tokens.event(event);
    }
    assert_eq!(scanner.finish(), Ok(None));
    Ok(tokens.0)
}

impl Tokens {
    fn event(&mut self, event: JsonEvent) {
        self.0.push(Token::Event(event));
    }

    /// Joins a text that is split into several events.
    fn text(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Token::Text(text)) => text.extend_from_slice(bytes),
            _ => self.0.push(Token::Text(bytes.to_vec())),
        }
    }

    fn tree(&mut self, tree: &ReferenceTree) {
        match tree {
            ReferenceTree::Object(members) => {
                self.event(JsonEvent::ObjectStart);
                for (index, (name, value)) in members.iter().enumerate() {
                    self.comma(index);
                    self.event(JsonEvent::KeyStart);
                    self.text(name.decoded.as_bytes());
                    self.event(JsonEvent::KeyEnd);
                    self.event(JsonEvent::Colon);
                    self.tree(value);
                }
                self.event(JsonEvent::ObjectEnd);
            }
            ReferenceTree::Array(elements) => {
                self.event(JsonEvent::ArrayStart);
                for (index, element) in elements.iter().enumerate() {
                    self.comma(index);
                    self.tree(element);
                }
                self.event(JsonEvent::ArrayEnd);
            }
            ReferenceTree::String(text) => {
                self.event(JsonEvent::StringStart);
                self.text(text.decoded.as_bytes());
                self.event(JsonEvent::StringEnd);
            }
            ReferenceTree::Scalar(written) => {
                self.event(JsonEvent::ScalarStart);
                self.text(written.as_bytes());
                self.event(JsonEvent::ScalarEnd);
            }
        }
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.event(JsonEvent::Comma);
        }
    }
}
