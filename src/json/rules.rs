//! The rules of a cut, as a tree of places in a document: which are removed, and whose values are
//! captured; and the paths that name such places.
//!
//! Built once at start. Never sees a document.

use std::{fmt, hash::RandomState};

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
    /// If given, members with other nodes are removed as well.
    alone: Option<Vec<NodeIndex>>,
    /// Whether duplicate names are refused although no rule names a member.
    watched: bool,
    action: NodeAction,
}

/// What happens to the value at a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeAction {
    pub(super) remove: bool,
    pub(super) capture: Option<CaptureSlot>,
    pub(super) stream: bool,
    pub(super) replace: bool,
}

impl Default for CutRules {
    fn default() -> Self {
        let gone = RuleNode {
            action: NodeAction {
                remove: true,
                ..NodeAction::default()
            },
            ..RuleNode::default()
        };
        Self {
            nodes: vec![RuleNode::default(), gone],
            slots: 0,
            max_scalar: None,
            seed: RandomState::new(),
        }
    }
}

impl CutRules {
    pub(super) const ROOT: NodeIndex = 0;
    /// The node of values that are removed because of their shape.
    const GONE: NodeIndex = 1;

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

    /// Keeps only the members at these paths, and the objects that lead to them. Other members that
    /// rules name are still captured, but removed.
    pub fn keep_alone<'a>(&mut self, paths: impl IntoIterator<Item = &'a MemberPath>) {
        for path in paths {
            let mut place = Self::ROOT;
            for step in path.steps() {
                let next = self.child(place, step);
                if let Some(node) = self.nodes.get_mut(place) {
                    node.alone.get_or_insert_default().push(next);
                }
                place = next;
            }
        }
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

    /// The node of a member, and whether it is removed because it is not among those that stay. If
    /// the rules expect an array, all members of an object are removed: each may contain what was
    /// to be removed.
    pub(super) fn member(
        &self,
        place: Option<NodeIndex>,
        name: &[u8],
    ) -> (Option<NodeIndex>, bool) {
        let Some(node) = place.and_then(|place| self.nodes.get(place)) else {
            return (None, false);
        };
        let found = node
            .members
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .map(|(_, place)| *place);
        let other_shape = node.members.is_empty() && node.elements.is_some();
        let stays = match &node.alone {
            Some(alone) => found.is_some_and(|place| alone.contains(&place)),
            None => found.is_some() || !(node.only_known || other_shape),
        };
        (found, !stays)
    }

    /// The node of an array's elements. If the rules expect an object, all elements are removed.
    pub(super) fn elements(&self, place: Option<NodeIndex>) -> Option<NodeIndex> {
        let node = self.nodes.get(place?)?;
        let other_shape = (!node.members.is_empty()).then_some(Self::GONE);
        node.elements.or(other_shape)
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

/// A step of a [`MemberPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// The member with this name.
    Member(String),
    /// Every element of an array: `[]`.
    Elements,
}

/// A path from the root of a document, like `result.pic_list[].pic`. It has at least one step, and
/// the first is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<PathStep>);

/// Why a text is not a [`MemberPath`]. Each variant holds the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberPathError {
    /// A step has no name.
    #[error("`{0}` has a step without a name; write it like `result.pic_list[].pic`")]
    NoName(String),
    /// Brackets are not `[]`, or not at the end of a step.
    #[error("`{0}` may hold `[]` (every element) after a name and nothing else in brackets")]
    Brackets(String),
}

impl MemberPath {
    /// The steps, from the root.
    pub fn steps(&self) -> &[PathStep] {
        &self.0
    }

    /// The root's member with exactly this name, which may contain `.`, `[` or `]`.
    pub fn member(name: &str) -> Self {
        Self(vec![PathStep::Member(name.to_owned())])
    }

    /// Parses `a.b[].c`. Member names can't contain `.`, `[` or `]`.
    ///
    /// # Errors
    /// A step has no name, or brackets are not `[]`.
    pub fn parse(text: &str) -> Result<Self, MemberPathError> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let name_end = part.find('[').unwrap_or(part.len());
            let (name, mut rest) = part.split_at(name_end);
            if name.is_empty() || name.contains(']') {
                return Err(MemberPathError::NoName(text.to_owned()));
            }
            steps.push(PathStep::Member(name.to_owned()));
            while !rest.is_empty() {
                rest = rest
                    .strip_prefix("[]")
                    .ok_or_else(|| MemberPathError::Brackets(text.to_owned()))?;
                steps.push(PathStep::Elements);
            }
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Member(name) if at == 0 => f.write_str(name)?,
                PathStep::Member(name) => write!(f, ".{name}")?,
                PathStep::Elements => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::MemberPath;

    #[test]
    fn a_path_is_displayed_as_it_was_written() {
        for text in [
            "a",
            "result.best_image.pic",
            "result.pic_list[].pic",
            "a[][].b",
        ] {
            assert_eq!(MemberPath::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_paths_are_rejected() {
        for text in [
            "", ".", "a.", ".a", "a[", "a]", "a[0]", "a[]b", "[].a", "a..b",
        ] {
            assert!(MemberPath::parse(text).is_err(), "{text}");
        }
    }
}
