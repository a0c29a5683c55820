//! From a path to the file that defines what it names, through `use`, `pub use` and globs.

use crate::source::{LIBRARY, Name, Tree};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Something that this module defines.
    Item(usize),
    /// A module.
    Module(usize),
}

/// What a path leads to, and on which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it leads to.
    pub target: Target,
    /// The modules whose re-exports it goes through.
    pub through: Vec<usize>,
    /// False for a name that no one is seen to define: a macro defines it, or it is re-exported from another crate.
    pub seen: bool,
}

impl Found {
    fn new(target: Target) -> Self {
        Found { target, through: Vec::new(), seen: true }
    }
}

/// Uses that are being followed: module, name, place among its meanings or globs. None is followed twice.
type Open = Vec<(usize, String, usize)>;

impl Tree {
    /// All that a path in a module can name: a module and a function may have the same name. Empty for what is not of
    /// this project.
    pub fn resolve(&self, module: usize, path: &[String]) -> Vec<Found> {
        self.walk(module, path, &mut Open::new())
    }

    fn walk(&self, from: usize, path: &[String], open: &mut Open) -> Vec<Found> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let start = match first.as_str() {
            "crate" => Some(self.root(from)),
            "self" => Some(from),
            "super" => self.modules[from].parent,
            LIBRARY if self.library.is_some_and(|library| library != self.root(from)) => self.library,
            _ => None,
        };
        let mut found = match start {
            Some(module) => vec![Found::new(Target::Module(module))],
            None if first == "super" => return Vec::new(),
            None => self.look_up(from, first, open),
        };
        for (place, name) in rest.iter().enumerate() {
            found = found.into_iter().flat_map(|before| self.step(before, name, open)).collect();
            let more = place + 1 < rest.len();
            if more && found.iter().any(|one| matches!(one.target, Target::Module(_))) {
                found.retain(|one| matches!(one.target, Target::Module(_)));
            }
        }
        found
    }

    /// One segment further.
    fn step(&self, before: Found, name: &str, open: &mut Open) -> Vec<Found> {
        let Target::Module(module) = before.target else {
            return vec![before];
        };
        if name == "super" {
            let parent = self.modules[module].parent.map(Target::Module);
            return parent.map(|target| Found { target, ..before }).into_iter().collect();
        }
        let mut found = self.look_up(module, name, open);
        if found.is_empty() {
            return vec![Found { target: Target::Item(module), seen: false, ..before }];
        }
        for one in &mut found {
            let own = matches!(one.target, Target::Item(at) if at == module)
                || matches!(one.target, Target::Module(at) if self.modules[at].parent == Some(module));
            if !(own && one.through.is_empty()) {
                one.through.insert(0, module);
            }
            one.through.splice(0..0, before.through.iter().copied());
        }
        found
    }

    /// What a name in a module means.
    fn look_up(&self, module: usize, name: &str, open: &mut Open) -> Vec<Found> {
        let mut found = Vec::new();
        let meanings = self.modules[module].names.get(name).map_or(&[][..], Vec::as_slice);
        for (place, meaning) in meanings.iter().enumerate() {
            match meaning {
                Name::Item => found.push(Found::new(Target::Item(module))),
                Name::Module(inner) => {
                    found.push(Found::new(Target::Module(*inner)));
                }
                Name::Use(path) => {
                    self.follow((module, name.to_owned(), place), path, open, &mut found);
                }
            }
        }
        if meanings.is_empty() {
            for (place, path) in self.modules[module].globs.iter().enumerate() {
                let mut path = path.clone();
                path.push(name.to_owned());
                self.follow((module, name.to_owned(), place), &path, open, &mut found);
            }
            found.retain(|one| one.seen);
        }
        found
    }

    fn follow(&self, key: (usize, String, usize), path: &[String], open: &mut Open, found: &mut Vec<Found>) {
        if open.contains(&key) {
            return;
        }
        let module = key.0;
        open.push(key);
        found.extend(self.walk(module, path, open));
        open.pop();
    }

    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }
}
