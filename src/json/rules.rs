//! What a cut does, as a table: for each place in a document, whether it goes, and whether its value is wanted.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// Index of a place in [`CutRules`].
pub(super) type NodeIndex = usize;

/// Index of a wanted value: the order of the [`CutRules::capture`], [`CutRules::stream`] and [`CutRules::replace`] calls.
pub type CaptureSlot = usize;

/// The rules of a cut, built once at start.
#[derive(Clone, Debug)]
pub struct CutRules {
    nodes: Vec<RuleNode>,
    slots: usize,
    pub(super) max_scalar: Option<usize>,
    /// Of the hashes of names.
    pub(super) seed: u64,
}

#[derive(Clone, Debug, Default)]
struct RuleNode {
    members: Vec<(String, NodeIndex)>,
    elements: Option<NodeIndex>,
    /// Members without a place of their own are removed.
    only_known: bool,
    /// When given, members of any other place are removed, known or not.
    alone: Option<Vec<NodeIndex>>,
    /// Two members of one name are refused, though nothing is removed here.
    watched: bool,
    action: NodeAction,
}

/// What happens to the value at a place.
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
            seed: RandomState::new().hash_one(()),
        }
    }
}

impl CutRules {
    pub(super) const ROOT: NodeIndex = 0;
    /// Of whatever must not stay for its shape alone.
    const GONE: NodeIndex = 1;

    /// Nothing is removed, nothing is wanted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of the root's members only these stay, and those that another rule names.
    pub fn keep_only<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.child(Self::ROOT, &PathStep::Member(name.to_owned()));
        }
        if let Some(root) = self.nodes.first_mut() {
            root.only_known = true;
        }
    }

    /// Of all members only those at these paths stay, and the objects on the way to them. What else is known of such an
    /// object is still captured, and goes.
    pub fn keep_alone<'a>(&mut self, pointers: impl IntoIterator<Item = &'a MemberPath>) {
        for pointer in pointers {
            let mut place = Self::ROOT;
            for step in pointer.steps() {
                let next = self.child(place, step);
                if let Some(node) = self.nodes.get_mut(place) {
                    node.alone.get_or_insert_default().push(next);
                }
                place = next;
            }
        }
    }

    /// Two members of the root may not have the same name.
    pub fn watch_root(&mut self) {
        if let Some(root) = self.nodes.first_mut() {
            root.watched = true;
        }
    }

    /// The value goes: its member with it, or, where it is an array's element, it becomes `null`.
    pub fn remove(&mut self, pointer: &MemberPath) {
        self.at(pointer, |action| action.remove = true);
    }

    /// Longer strings, member names and numbers go wherever they stand; the length is that of the raw bytes.
    pub fn remove_longer(&mut self, bytes: usize) {
        self.max_scalar = Some(bytes);
    }

    /// The value is wanted, decoded.
    pub fn capture(&mut self, pointer: &MemberPath) -> CaptureSlot {
        let slot = self.slots;
        self.slots += 1;
        self.at(pointer, |action| action.capture = Some(slot));
        slot
    }

    /// The value is wanted as its decoded bytes go by, if it is a string.
    pub fn stream(&mut self, pointer: &MemberPath) -> CaptureSlot {
        let slot = self.capture(pointer);
        self.at(pointer, |action| action.stream = true);
        slot
    }

    /// The value is wanted, and what the sink makes of it takes its place if it is a string, number or literal.
    pub fn replace(&mut self, pointer: &MemberPath) -> CaptureSlot {
        let slot = self.capture(pointer);
        self.at(pointer, |action| action.replace = true);
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

    /// Whether two members of one name would be a contradiction here.
    pub(super) fn watched(&self, place: Option<NodeIndex>) -> bool {
        place
            .and_then(|place| self.nodes.get(place))
            .is_some_and(|node| node.watched || node.only_known || !node.members.is_empty())
    }

    /// The place of a member, and whether it goes because it is not among those that stay. Where the rules know an array, the members of an object
    /// go: what was to be removed may stand in any of them.
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

    /// The place of an array's elements. Where the rules know an object, the elements of an array go.
    pub(super) fn elements(&self, place: Option<NodeIndex>) -> Option<NodeIndex> {
        let node = self.nodes.get(place?)?;
        let other_shape = (!node.members.is_empty()).then_some(Self::GONE);
        node.elements.or(other_shape)
    }

    fn at(&mut self, pointer: &MemberPath, change: impl FnOnce(&mut NodeAction)) {
        let place = pointer
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

/// One step of a [`MemberPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// The member of this name.
    Member(String),
    /// Every element of an array: `[]`.
    Elements,
}

/// A path from the document's root: at least one step, the first a member.
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

    /// The root's member of exactly this name.
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
    fn a_pointer_reads_back_as_it_was_written() {
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
    fn malformed_pointers_are_refused() {
        for text in [
            "", ".", "a.", ".a", "a[", "a]", "a[0]", "a[]b", "[].a", "a..b",
        ] {
            assert!(MemberPath::parse(text).is_err(), "{text}");
        }
    }
}
