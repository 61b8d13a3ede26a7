//! A slow and plain reference for scans and cuts: `serde_json` parses the document into a tree that
//! keeps every token as written, and the cut deletes from that tree. Also used by `fuzz/`.
//!
//! Shares nothing with the tested code except the types of its result and [`CutRules`], which it
//! only fills.

#[path = "reference_tree.rs"]
mod reference_tree;

pub use self::reference_tree::{ReferenceText, ReferenceTree, parse};
use super::json::{
    rules::{CaptureSlot, CutRules, MemberPath},
    sink::CapturedValue,
};

/// Maximum number of members in a watched object.
const MAX_MEMBERS: usize = 1024;
/// Maximum size of a captured value, in bytes.
const MAX_CAPTURE: usize = 4096;

/// The rules of a cut, with paths as text.
#[derive(Clone, Debug, Default)]
pub struct ReferenceRules {
    pub keep_only: Option<Vec<String>>,
    pub allow_only: Option<Vec<String>>,
    pub watch_root: bool,
    pub remove: Vec<String>,
    pub remove_longer: Option<usize>,
    /// A path may occur once in these three lists together.
    pub capture: Vec<String>,
    pub stream: Vec<String>,
    pub replace: Vec<String>,
}

/// The outcome of a cut.
#[derive(Debug, PartialEq)]
pub struct ReferenceOutcome {
    pub kept: ReferenceTree,
    /// In the order of `capture`, `stream`, `replace`.
    pub values: Vec<CapturedValue>,
    /// All streamed strings, concatenated.
    pub streamed: String,
}

impl ReferenceRules {
    /// Converts these rules to those of the cut.
    pub fn rules(&self) -> CutRules {
        let path = |text: &String| MemberPath::parse(text).unwrap();
        let mut rules = CutRules::new();
        if let Some(names) = &self.keep_only {
            rules.keep_only(names.iter().map(String::as_str));
        }
        if let Some(paths) = &self.allow_only {
            rules.allow_only(&paths.iter().map(path).collect::<Vec<_>>());
        }
        if self.watch_root {
            rules.watch_root();
        }
        if let Some(bytes) = self.remove_longer {
            rules.remove_longer(bytes);
        }
        for name in &self.remove {
            rules.remove(&path(name));
        }
        for name in &self.capture {
            rules.capture(&path(name));
        }
        for name in &self.stream {
            rules.stream(&path(name));
        }
        for name in &self.replace {
            rules.replace(&path(name));
        }
        rules
    }

    /// The expected outcome of the cut of a document; `None` if it must be rejected.
    pub fn cut(&self, bytes: &[u8]) -> Option<ReferenceOutcome> {
        let mut kept = parse(bytes)?;
        let ReferenceTree::Object(_) = kept else {
            return None;
        };
        let mut values = vec![CapturedValue::Absent; self.slots().count()];
        let mut streamed = String::new();
        visit("", &kept, &mut |path, value| {
            for (slot, _) in self
                .slots()
                .enumerate()
                .filter(|(_, wanted)| *wanted == path)
            {
                values[slot] = self.value(slot, value);
                if let (CapturedValue::Streamed, ReferenceTree::String(text)) =
                    (&values[slot], value)
                {
                    streamed.push_str(&text.decoded);
                }
            }
        });
        if self.is_ambiguous("", &kept) {
            return None;
        }
        self.delete("", &mut kept);
        Some(ReferenceOutcome {
            kept,
            values,
            streamed,
        })
    }

    fn slots(&self) -> impl Iterator<Item = &String> {
        self.capture.iter().chain(&self.stream).chain(&self.replace)
    }

    fn value(&self, slot: CaptureSlot, value: &ReferenceTree) -> CapturedValue {
        let streams = self.capture.len()..self.capture.len() + self.stream.len();
        match value {
            ReferenceTree::Object(_) | ReferenceTree::Array(_) => CapturedValue::Container,
            ReferenceTree::String(_) if streams.contains(&slot) => CapturedValue::Streamed,
            ReferenceTree::String(text) if text.decoded.len() > MAX_CAPTURE => {
                CapturedValue::TooLong
            }
            ReferenceTree::String(text) => CapturedValue::String(text.decoded.clone()),
            ReferenceTree::Scalar(written) => match written.as_str() {
                "null" => CapturedValue::Null,
                "true" => CapturedValue::Bool(true),
                "false" => CapturedValue::Bool(false),
                long if long.len() > MAX_CAPTURE => CapturedValue::TooLong,
                number => CapturedValue::Number(number.to_owned()),
            },
        }
    }

    /// Whether a watched object has duplicate names, or too many members.
    fn is_ambiguous(&self, path: &str, value: &ReferenceTree) -> bool {
        let mut found = false;
        visit(path, value, &mut |path, value| {
            if let ReferenceTree::Object(members) = value
                && self.is_watched(path)
            {
                let names: std::collections::HashSet<_> =
                    members.iter().map(|(name, _)| &name.decoded).collect();
                found |= names.len() < members.len() || members.len() > MAX_MEMBERS;
            }
        });
        found
    }

    fn is_watched(&self, path: &str) -> bool {
        let (root, below) = match path {
            "" => (self.watch_root || self.keep_only.is_some(), String::new()),
            _ => (false, format!("{path}.")),
        };
        root || self.paths().any(|wanted| wanted.starts_with(&below))
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        let lists = [&self.remove, &self.capture, &self.stream, &self.replace];
        lists
            .into_iter()
            .flatten()
            .chain(self.keep_only.iter().flatten())
            .chain(self.allowed())
    }

    /// The allowed paths that are in no other.
    fn allowed(&self) -> impl Iterator<Item = &String> {
        let all = || self.allow_only.iter().flatten();
        all().filter(move |path| !all().any(|other| is_within(path, other)))
    }

    /// Whether a value may pass: it is in an allowed one, or leads to one.
    fn may_pass(&self, path: &str, value: &ReferenceTree) -> bool {
        let leads_on = match value {
            ReferenceTree::Object(_) | ReferenceTree::Array(_) => true,
            ReferenceTree::String(_) => false,
            ReferenceTree::Scalar(written) => written == "null",
        };
        self.allow_only.is_none()
            || self.allowed().any(|allowed| {
                allowed == path
                    || is_within(path, allowed)
                    || (leads_on && is_within(allowed, path))
            })
    }

    fn delete(&self, path: &str, value: &mut ReferenceTree) {
        let (object, array) = self.known_shapes(path);
        match value {
            // Each member may contain what was to be removed.
            ReferenceTree::Object(members) if array && !object => members.clear(),
            ReferenceTree::Array(elements) if object && !array => {
                elements.fill(ReferenceTree::Scalar("null".into()));
            }
            ReferenceTree::Object(members) => {
                members.retain(|(name, value)| self.stays(path, name, value));
                for (name, value) in members {
                    self.replace_or_delete(&join(path, &name.decoded), value);
                }
            }
            ReferenceTree::Array(elements) => {
                let path = format!("{path}[]");
                for element in elements {
                    let passes = self.may_pass(&path, element);
                    if !passes || self.remove.contains(&path) || self.is_long(&path, element) {
                        *element = ReferenceTree::Scalar("null".into());
                    } else {
                        self.replace_or_delete(&path, element);
                    }
                }
            }
            ReferenceTree::String(_) | ReferenceTree::Scalar(_) => {}
        }
    }

    /// Whether the rules name members below this path, and whether they name elements.
    fn known_shapes(&self, path: &str) -> (bool, bool) {
        let below = |wanted: &String, step: &str| match path {
            "" => step == "." && !wanted.is_empty(),
            _ => wanted
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with(step)),
        };
        let known = |step| self.paths().any(|wanted| below(wanted, step));
        (known("."), known("[]"))
    }

    fn replace_or_delete(&self, path: &str, value: &mut ReferenceTree) {
        let is_container = matches!(value, ReferenceTree::Object(_) | ReferenceTree::Array(_));
        let slot = self.slots().position(|wanted| wanted == path);
        match slot.filter(|_| self.replace.iter().any(|wanted| wanted == path)) {
            Some(slot) if !is_container => {
                let instead = replaced(slot, &self.value(slot, value));
                *value = parse(instead.as_bytes()).unwrap();
            }
            _ => self.delete(path, value),
        }
    }

    fn stays(&self, path: &str, name: &ReferenceText, value: &ReferenceTree) -> bool {
        let unknown = path.is_empty()
            && self.keep_only.is_some()
            && !self
                .paths()
                .any(|wanted| first_name(wanted) == name.decoded);
        let long_name = self.remove_longer.is_some_and(|most| name.raw.len() > most);
        let path = join(path, &name.decoded);
        let passes = !unknown && !long_name && self.may_pass(&path, value);
        passes && !self.is_long(&path, value) && !self.remove.contains(&path)
    }

    /// Whether the value is removed for its length; a replaced value is not passed on at any
    /// length.
    fn is_long(&self, path: &str, value: &ReferenceTree) -> bool {
        let length = match value {
            ReferenceTree::String(text) => text.raw.len(),
            ReferenceTree::Scalar(written) => written.len(),
            ReferenceTree::Object(_) | ReferenceTree::Array(_) => 0,
        };
        let replaced = self.replace.iter().any(|wanted| wanted == path);
        !replaced && self.remove_longer.is_some_and(|most| length > most)
    }
}

/// The text that a sink under test writes for a replaced value.
pub fn replaced(slot: CaptureSlot, value: &CapturedValue) -> String {
    serde_json::to_string(&format!("{slot} {value:?}")).unwrap()
}

/// Visits every value in the order of the document, with its path.
fn visit(path: &str, value: &ReferenceTree, each: &mut impl FnMut(&str, &ReferenceTree)) {
    each(path, value);
    match value {
        ReferenceTree::Object(members) => {
            for (name, value) in members {
                visit(&join(path, &name.decoded), value, each);
            }
        }
        ReferenceTree::Array(elements) => {
            for element in elements {
                visit(&format!("{path}[]"), element, each);
            }
        }
        ReferenceTree::String(_) | ReferenceTree::Scalar(_) => {}
    }
}

/// The path of a member. Names that a path can't contain are changed so that they match no path.
fn join(path: &str, name: &str) -> String {
    let name = match name {
        "" => "\0".to_owned(),
        _ => name.replace(['.', '[', ']'], "\0"),
    };
    match path {
        "" => name,
        _ => format!("{path}.{name}"),
    }
}

/// Whether `path` leads further than `other`, through it.
fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn first_name(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}
