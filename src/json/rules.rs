//! The rules of a cut, as a tree of places in a document: which may stay, which are removed, and
//! whose values are captured.
//!
//! Built once at start. Never sees a document.

use std::hash::RandomState;

pub use super::path::{MemberPath, MemberPathError, PathStep};

/// Index of a place's node in [`CutRules`].
pub(super) type NodeIndex = usize;

/// Index of a captured value: the number of the [`CutRules::capture`], [`CutRules::stream`] or
/// [`CutRules::replace`] call that asked for it.
pub type CaptureSlot = usize;

/// The rules of a cut.
#[derive(Clone, Debug)]
pub struct CutRules {
    nodes: Vec<RuleNode>,
    slots: usize,
    /// Maximum length of strings, names and numbers in the document, in bytes.
    pub(super) max_scalar: Option<usize>,
    /// Keys the hashes of member names.
    pub(super) seed: RandomState,
}

#[derive(Clone, Debug, Default)]
struct RuleNode {
    members: Vec<(String, NodeIndex)>,
    elements: Option<NodeIndex>,
    /// Whether members without a node are removed.
    only_known: bool,
    /// Whether the value stays if the one around it is a passage.
    allowed: bool,
    /// Whether duplicate names are refused although no rule names a member.
    watched: bool,
    action: NodeAction,
}

/// What the rules say of a member's name.
pub(super) struct MemberRule {
    /// The node of the member's value.
    pub(super) place: Option<NodeIndex>,
    /// Whether it is removed because it is not among those that stay.
    pub(super) unknown: bool,
    /// Which of the object's named members it is. No other name has the same number.
    pub(super) number: Option<usize>,
}

/// What happens to the value at a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeAction {
    pub(super) remove: bool,
    /// It leads to what is allowed, and only that stays of it. No more of a string, number or
    /// boolean stays than of an object that has nothing of it.
    pub(super) passage: bool,
    pub(super) capture: Option<CaptureSlot>,
    pub(super) stream: bool,
    pub(super) replace: bool,
}

impl Default for CutRules {
    fn default() -> Self {
        Self {
            nodes: vec![RuleNode::default()],
            slots: 0,
            max_scalar: None,
            seed: RandomState::new(),
        }
    }
}

impl CutRules {
    pub(super) const ROOT: NodeIndex = 0;

    /// Rules that remove and capture nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps only these members of the root, and those that other rules name.
    pub fn keep_only<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.child(Self::ROOT, &PathStep::Member(name.to_owned()));
        }
        if let Some(root) = self.nodes.first_mut() {
            root.only_known = true;
        }
    }

    /// Keeps only what is at these paths, with all that is in it, and the objects and arrays that
    /// lead there. A string, number or boolean in place of these is removed; `null` stays. What
    /// other rules capture elsewhere is still captured, but removed.
    pub fn allow_only(&mut self, paths: &[MemberPath]) {
        self.set_passage(Self::ROOT);
        for path in paths {
            if paths
                .iter()
                .any(|other| other != path && other.covers(path))
            {
                continue;
            }
            let mut place = Self::ROOT;
            for step in path.steps() {
                self.set_passage(place);
                place = self.child(place, step);
                if let Some(node) = self.nodes.get_mut(place) {
                    node.allowed = true;
                }
            }
        }
    }

    /// Names a member without changing what becomes of it. If it is removed, that is not reported
    /// as a member that no rule names.
    pub fn name(&mut self, path: &MemberPath) {
        self.at(path, |_| {});
    }

    /// Refuses duplicate names in the root.
    pub fn watch_root(&mut self) {
        if let Some(root) = self.nodes.first_mut() {
            root.watched = true;
        }
    }

    /// Removes the value with its member; an element of an array becomes `null`.
    pub fn remove(&mut self, path: &MemberPath) {
        self.at(path, |action| action.remove = true);
    }

    /// Removes strings, numbers and members whose value or name is longer than `bytes` in the
    /// document, everywhere.
    pub fn remove_longer(&mut self, bytes: usize) {
        self.max_scalar = Some(bytes);
    }

    /// Captures the decoded value.
    pub fn capture(&mut self, path: &MemberPath) -> CaptureSlot {
        let slot = self.slots;
        self.slots += 1;
        self.at(path, |action| action.capture = Some(slot));
        slot
    }

    /// Captures the value, and passes its decoded bytes to the sink if it is a string.
    pub fn stream(&mut self, path: &MemberPath) -> CaptureSlot {
        let slot = self.capture(path);
        self.at(path, |action| action.stream = true);
        slot
    }

    /// Captures the value, and lets the sink replace it if it is a string, number or literal.
    pub fn replace(&mut self, path: &MemberPath) -> CaptureSlot {
        let slot = self.capture(path);
        self.at(path, |action| action.replace = true);
        slot
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn action(&self, place: Option<NodeIndex>) -> NodeAction {
        place
            .and_then(|place| self.nodes.get(place))
            .map(|node| node.action)
            .unwrap_or_default()
    }

    /// Whether duplicate names are refused in the object at `place`.
    pub(super) fn watched(&self, place: Option<NodeIndex>) -> bool {
        place
            .and_then(|place| self.nodes.get(place))
            .is_some_and(|node| node.watched || node.only_known || !node.members.is_empty())
    }

    /// The rule for a member of the object at `place`. If the rules expect an array there, all
    /// members are removed: each may contain what was to be removed.
    pub(super) fn member(&self, place: Option<NodeIndex>, name: &[u8]) -> MemberRule {
        let Some(node) = place.and_then(|place| self.nodes.get(place)) else {
            return MemberRule {
                place: None,
                unknown: false,
                number: None,
            };
        };
        let mut members = node.members.iter().enumerate();
        let found = members.find(|(_, (known, _))| known.as_bytes() == name);
        let place = found.map(|(_, (_, place))| *place);
        let other_shape = node.members.is_empty() && node.elements.is_some();
        let stays = match node.action.passage {
            true => self.is_allowed(place),
            false => place.is_some() || !(node.only_known || other_shape),
        };
        MemberRule {
            place,
            unknown: !stays,
            number: found.map(|(number, _)| number),
        }
    }

    /// The node of an array's elements, and whether they are removed. If the rules expect an
    /// object, all of them are.
    pub(super) fn elements(&self, place: Option<NodeIndex>) -> (Option<NodeIndex>, bool) {
        let Some(node) = place.and_then(|place| self.nodes.get(place)) else {
            return (None, false);
        };
        let stays = match node.action.passage {
            true => self.is_allowed(node.elements),
            false => node.elements.is_some() || node.members.is_empty(),
        };
        (node.elements, !stays)
    }

    fn is_allowed(&self, place: Option<NodeIndex>) -> bool {
        let node = place.and_then(|place| self.nodes.get(place));
        node.is_some_and(|node| node.allowed)
    }

    fn set_passage(&mut self, place: NodeIndex) {
        if let Some(node) = self.nodes.get_mut(place) {
            node.action.passage = true;
        }
    }

    fn at(&mut self, path: &MemberPath, change: impl FnOnce(&mut NodeAction)) {
        let place = path
            .steps()
            .iter()
            .fold(Self::ROOT, |place, step| self.child(place, step));
        if let Some(node) = self.nodes.get_mut(place) {
            change(&mut node.action);
        }
    }

    fn child(&mut self, parent: NodeIndex, step: &PathStep) -> NodeIndex {
        let next = self.nodes.len();
        let Some(node) = self.nodes.get_mut(parent) else {
            return next;
        };
        let existing = match step {
            PathStep::Member(name) => node
                .members
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, place)| *place),
            PathStep::Elements => node.elements,
        };
        if let Some(place) = existing {
            return place;
        }
        match step {
            PathStep::Member(name) => node.members.push((name.clone(), next)),
            PathStep::Elements => node.elements = Some(next),
        }
        self.nodes.push(RuleNode::default());
        next
    }
}
