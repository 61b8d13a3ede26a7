//! The crate's modules, and which of them import from which: paths in production code, followed
//! through `pub use`.

use std::{collections::BTreeMap, sync::OnceLock};

use crate::source::{File, is_word, line, production, root};

/// A module of production code; test modules have none here.
pub(crate) struct Module {
    pub(crate) file: File,
    /// Production code alone; offsets are those of the file.
    pub(crate) code: String,
    /// Paths in the code, made absolute, with their offsets.
    paths: Vec<(Vec<String>, usize)>,
    /// What `use` brings in here: a name, and the absolute path that it stands for.
    names: BTreeMap<String, Vec<String>>,
}

/// All modules by their paths, the crate's root excepted.
pub(crate) struct Tree(pub(crate) BTreeMap<Vec<String>, Module>);

/// An import: from a module to another, with the line of the first.
pub(crate) struct Import {
    pub(crate) from: Vec<String>,
    pub(crate) to: Vec<String>,
    pub(crate) line: usize,
}

/// The crate's modules; read once.
pub(crate) fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(Tree::read)
}

impl Tree {
    fn read() -> Self {
        let mut modules = BTreeMap::new();
        let lib = File::read("src/lib.rs");
        let mut waiting = children(&[], &lib);
        while let Some((path, name)) = waiting.pop() {
            let file = File::read(&name);
            let children = children(&path, &file);
            let mut module = Module {
                code: production(&file.text),
                file,
                paths: Vec::new(),
                names: BTreeMap::new(),
            };
            let roots = children.iter().filter_map(|(path, _)| path.last());
            let roots = roots.map(String::as_str).chain(["crate", "super", "self"]);
            for root in roots {
                module.look_for(&path, root);
            }
            waiting.extend(children);
            modules.insert(path, module);
        }
        assert!(modules.len() > 100, "the modules are found");
        Self(modules)
    }

    /// Every import of every module.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, module) in &self.0 {
            for (path, offset) in &module.paths {
                let to = self.resolve(path, 8);
                if !to.is_empty() && to != *from {
                    imports.push(Import {
                        from: from.clone(),
                        to,
                        line: line(&module.code, *offset),
                    });
                }
            }
        }
        imports
    }

    /// The module that holds what this path names.
    fn resolve(&self, path: &[String], depth: usize) -> Vec<String> {
        let mut length = path.len();
        while length > 0 && !self.0.contains_key(&path[..length]) {
            length -= 1;
        }
        let module = &path[..length];
        let renamed = path
            .get(length)
            .and_then(|next| self.0.get(module)?.names.get(next));
        match renamed {
            Some(target) if depth > 0 => {
                let rest = &path[length + 1..];
                self.resolve(&[target, rest].concat(), depth - 1)
            }
            _ => module.to_vec(),
        }
    }
}

impl Module {
    /// Adds the paths that begin with `root`: a keyword, or a module declared here, which is only
    /// looked for behind `use`.
    fn look_for(&mut self, own: &[String], root: &str) {
        let is_child = !matches!(root, "crate" | "super" | "self");
        for (offset, _) in self.code.match_indices(root) {
            let (before, rest) = self.code.split_at(offset);
            let follows = before.ends_with(|it| is_word(it as u8) || it == ':');
            if follows || !rest[root.len()..].starts_with("::") {
                continue;
            }
            let is_use = before.trim_end().ends_with("use");
            if is_child && !is_use {
                continue;
            }
            let mut leaves = Vec::new();
            expand(rest, &mut Vec::new(), &mut leaves);
            for (leaf, name) in leaves {
                let path = absolute(own, &leaf);
                if is_use && let Some(name) = name {
                    self.names.insert(name, path.clone());
                }
                self.paths.push((path, offset));
            }
        }
    }
}

/// The modules that a file declares outside of tests, with their files.
fn children(path: &[String], file: &File) -> Vec<(Vec<String>, String)> {
    let code = production(&file.text);
    let mut found = Vec::new();
    for (offset, _) in code.match_indices("mod ") {
        let before = code[..offset].bytes().next_back();
        let rest = &code[offset + 4..];
        let name: String = rest.chars().take_while(|it| is_word(*it as u8)).collect();
        if name.is_empty() || before.is_some_and(is_word) || !rest[name.len()..].starts_with(';') {
            continue;
        }
        let child = [path, std::slice::from_ref(&name)].concat();
        let folder = file.name.trim_end_matches(".rs").trim_end_matches("/mod");
        let folder = folder.trim_end_matches("/lib");
        let names = [
            format!("{folder}/{name}.rs"),
            format!("{folder}/{name}/mod.rs"),
        ];
        // A module behind `#[path]` stands in for another of its name.
        if let Some(name) = names.into_iter().find(|name| root().join(name).exists()) {
            found.push((child, name));
        }
    }
    found
}

/// Reads a path or a tree of a `use`; each leaf with the name that it gets. The rest of the text.
fn expand<'a>(
    text: &'a str,
    prefix: &mut Vec<String>,
    leaves: &mut Vec<(Vec<String>, Option<String>)>,
) -> &'a str {
    let depth = prefix.len();
    let mut text = text.trim_start();
    loop {
        let length = text.bytes().take_while(|&byte| is_word(byte)).count();
        prefix.push(text[..length].to_owned());
        text = &text[length..];
        match text.strip_prefix("::").map(str::trim_start) {
            Some(rest) if rest.starts_with('{') => {
                text = &rest[1..];
                loop {
                    text = text.trim_start().trim_start_matches(',').trim_start();
                    if text.starts_with('}') || text.is_empty() {
                        break;
                    }
                    text = expand(text, prefix, leaves);
                    if !text.trim_start().starts_with([',', '}']) {
                        break;
                    }
                }
                prefix.truncate(depth);
                return text.strip_prefix('}').unwrap_or(text);
            }
            Some(rest) if rest.starts_with(|next| is_word(next as u8)) => text = rest,
            _ => break,
        }
    }
    let path: Vec<String> = prefix.drain(depth..).collect();
    let mut whole = [prefix.as_slice(), &path].concat();
    let mut name = whole.last().cloned();
    if name.as_deref() == Some("self") && whole.len() > 1 {
        whole.pop();
        name = whole.last().cloned();
    }
    if let Some(rest) = text.trim_start().strip_prefix("as ") {
        let length = rest.bytes().take_while(|&byte| is_word(byte)).count();
        name = Some(rest[..length].to_owned());
        text = &rest[length..];
    }
    leaves.push((whole, name));
    text
}

/// From the crate's root, without `crate`, `self` and `super`.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let mut whole = match path[0].as_str() {
        "crate" => Vec::new(),
        _ => module.to_vec(),
    };
    for segment in path {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => drop(whole.pop()),
            name => whole.push(name.to_owned()),
        }
    }
    whole
}
