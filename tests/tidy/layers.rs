//! Imports go down the list of layers, and no two modules import each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    modules::{Import, Tree, tree},
    none,
    source::File,
};

/// From the ground up. A module imports from layers below its own alone; `ARCHITECTURE.md` has the
/// same list.
const LAYERS: &[&[&str]] = &[
    &["wipe", "closed_set", "instruments"],
    &[
        "secret",
        "memory",
        "lifecycle",
        "core_dumps",
        "descriptors",
        "service_manager",
        "future_pool",
        "json",
        "parameters",
        "places",
        "certificate_end",
    ],
    &["route", "media", "form_data", "handover", "outbound"],
    &["telemetry"],
    &["auth", "store", "session", "rotation", "traces"],
    &["generate", "limit", "verify_once", "qiniu"],
    &["body", "evidence", "verdict"],
    &["audit"],
    &["relay"],
    &["server"],
    &["config"],
    &["startup"],
    &["emulator"],
    &["sandbox"],
    &["commands"],
    &["cli"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// `file:line → file` of an import.
fn named(tree: &Tree, import: &Import) -> String {
    let file = |path: &Vec<String>| tree.0[path].file.name.clone();
    format!(
        "{}:{} → {}",
        file(&import.from),
        import.line,
        file(&import.to)
    )
}

#[test]
fn each_module_has_a_layer() {
    let tree = tree();
    let modules = tree.0.keys().filter(|path| path.len() == 1);
    let homeless = modules.filter(|path| layer(&path[0]).is_none());
    none(
        &homeless.map(|path| path[0].clone()).collect::<Vec<_>>(),
        "add it to `LAYERS` in tests/tidy/layers.rs and to the list in ARCHITECTURE.md",
    );
}

#[test]
fn imports_go_down_the_layers() {
    let tree = tree();
    let upward = tree.imports().into_iter().filter(|import| {
        let (from, to) = (&import.from[0], &import.to[0]);
        from != to && layer(to) >= layer(from)
    });
    let faults: Vec<_> = upward.map(|import| named(tree, &import)).collect();
    none(
        &faults,
        "move what is needed to the lower module, or hand it in as a value",
    );
}

#[test]
fn no_modules_import_each_other() {
    let tree = tree();
    let mut siblings: BTreeMap<Vec<String>, BTreeMap<(String, String), String>> = BTreeMap::new();
    for import in tree.imports() {
        let common = import.from.iter().zip(&import.to);
        let common = common.take_while(|(one, other)| one == other).count();
        if let (Some(from), Some(to)) = (import.from.get(common), import.to.get(common)) {
            let edges = siblings.entry(import.from[..common].to_vec()).or_default();
            let edge = (from.clone(), to.clone());
            edges.entry(edge).or_insert_with(|| named(tree, &import));
        }
    }
    let mut faults = Vec::new();
    for edges in siblings.values() {
        let cyclic = edges
            .iter()
            .filter(|((from, to), _)| reaches(edges, to, from));
        faults.extend(cyclic.map(|(_, example)| example.clone()));
    }
    none(
        &faults,
        "these imports are part of a cycle; move what both sides need below them",
    );
}

/// Whether there is a way from one to the other.
fn reaches(edges: &BTreeMap<(String, String), String>, from: &str, to: &str) -> bool {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(node) = waiting.pop() {
        if node == to {
            return true;
        }
        if seen.insert(node) {
            let next = edges.keys().filter(|(from, _)| from == node);
            waiting.extend(next.map(|(_, to)| to.as_str()));
        }
    }
    false
}

#[test]
fn the_architecture_lists_the_same_layers() {
    let page = File::read("ARCHITECTURE.md");
    let list = page.text.split("\n```layers\n").nth(1);
    let list = list.and_then(|rest| rest.split("\n```").next());
    let list = list.expect("ARCHITECTURE.md has a block `layers`");
    // The page begins at the top.
    let lines = list.lines().rev();
    let listed: Vec<Vec<&str>> = lines.map(|line| line.split(", ").collect()).collect();
    assert_eq!(
        listed, LAYERS,
        "the block `layers` in ARCHITECTURE.md and `LAYERS` in tests/tidy/layers.rs must agree"
    );
}
