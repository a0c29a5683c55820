//! The rules.

use std::collections::{BTreeMap, BTreeSet};

use crate::exceptions::Exception;
use crate::graph::Graph;
use crate::resolve::Target;
use crate::source::{Sources, Tree};
use crate::table::{PAGE, Table};

/// How many lines a file may have.
const MAX_LINES: usize = 600;

/// The layer of `main.rs` and `lib.rs`: above all others.
const TOP: usize = usize::MAX;

/// What is wrong with the sources, in words that say what to do. Exceptions that nothing needs are wrong too.
pub fn check(sources: &Sources, table: &Table, exceptions: &[Exception]) -> Vec<String> {
    let tree = match Tree::parse(sources) {
        Ok(tree) => tree,
        Err(errors) => return errors,
    };
    let mut checker = Checker { tree: &tree, table, exceptions, used: BTreeSet::new(), findings: Vec::new() };
    checker.lengths(sources);
    checker.modules();
    checker.facades();
    checker.imports();
    checker.unused_exceptions();
    checker.findings
}

struct Checker<'c> {
    tree: &'c Tree,
    table: &'c Table,
    exceptions: &'c [Exception],
    /// The places of exceptions that are needed.
    used: BTreeSet<usize>,
    findings: Vec<String>,
}

/// An import of one file by another.
#[derive(Debug, Clone)]
struct Edge {
    line: usize,
    path: String,
}

impl Checker<'_> {
    /// Adds a finding, unless it is an exception.
    fn find(&mut self, matches: impl Fn(&Exception) -> bool, finding: impl FnOnce() -> String) {
        match self.exceptions.iter().position(matches) {
            Some(place) => {
                self.used.insert(place);
            }
            None => self.findings.push(finding()),
        }
    }

    fn lengths(&mut self, sources: &Sources) {
        for (path, text) in &sources.0 {
            let lines = text.lines().count();
            if lines > MAX_LINES {
                self.find(
                    |one| matches!(one, Exception::Long(file) if file == path),
                    || {
                        format!(
                            "{path} has {lines} lines, the limit is {MAX_LINES}: move one of the things that it does \
                             into a file of its own"
                        )
                    },
                );
            }
        }
    }

    /// Holds the table against the modules that exist.
    fn modules(&mut self) {
        let mut unlisted: BTreeMap<&str, &str> = BTreeMap::new();
        let mut existing: BTreeSet<String> = BTreeSet::new();
        for file in &self.tree.files {
            existing.extend((1..=file.module.len()).map(|length| file.module[..length].join("/")));
            if let Some(top) = file.module.first()
                && self.table.module_of(&file.module).is_none()
            {
                unlisted.entry(top).or_insert(&file.path);
            }
        }
        for (module, path) in unlisted {
            self.find(
                |one| matches!(one, Exception::Unlisted(name) if *name == module),
                || {
                    format!(
                        "{path}: the module `{module}` is not in the table of layers: add it to the block `layers` of \
                         {PAGE}, on a line below (that is, after) every module that it imports and above those that \
                         import it"
                    )
                },
            );
        }
        let mut listed: Vec<(&str, usize)> = self.table.modules().collect();
        listed.sort_by_key(|(name, line)| (*line, *name));
        for (module, line) in listed {
            if !existing.contains(module) {
                self.find(
                    |one| matches!(one, Exception::Missing(name) if *name == module),
                    || {
                        format!(
                            "{PAGE}:{line} lists the module `{module}`, but there is neither src/{module}.rs nor \
                             src/{module}/mod.rs: take it out of the table, or correct its name"
                        )
                    },
                );
            }
        }
    }

    fn facades(&mut self) {
        for file in self.tree.files.iter().filter(|file| !file.test) {
            let path = &file.path;
            if file.should_be_facade() && !file.contents.is_empty() {
                let (line, what) = &file.contents[0];
                let more = match file.contents.len() - 1 {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                self.find(
                    |one| matches!(one, Exception::Facade(name) if name == path),
                    || {
                        format!(
                            "{path}:{line} holds {what}{more}: it may hold docs, attributes, `mod` and `pub use` only, \
                             so that importing it never means importing code. Move what it holds into a file named \
                             after that, and re-export it with `pub use`"
                        )
                    },
                );
            }
            if let (Some((line, child)), false) =
                (&file.child, file.should_be_facade() || path == "src/main.rs")
            {
                let folder = path.trim_end_matches(".rs");
                self.findings.push(format!(
                    "{path}:{line} declares the module `{child}`, which has a file of its own: make {path} the facade \
                     {folder}/mod.rs, with its code in files beside it"
                ));
            }
        }
    }

    fn imports(&mut self) {
        let mut edges: BTreeMap<(usize, usize), Edge> = BTreeMap::new();
        let mut passed: BTreeMap<(usize, usize), Edge> = BTreeMap::new();
        for (from, file) in self.tree.files.iter().enumerate() {
            for import in &file.imports {
                let edge = Edge { line: import.line, path: import.path.join("::") };
                for found in self.tree.resolve(import.module, &import.path) {
                    let (Target::Item(module) | Target::Module(module)) = found.target;
                    let to = self.tree.modules[module].file;
                    let names_facade = self.tree.files[to].is_facade();
                    for through in found.through.iter().map(|&module| self.tree.modules[module].file) {
                        if through != from && self.module(through) != self.module(to) {
                            passed.entry((from, through)).or_insert_with(|| edge.clone());
                        }
                    }
                    if to == from {
                        continue;
                    }
                    if !names_facade {
                        edges.entry((from, to)).or_insert_with(|| edge.clone());
                        continue;
                    }
                    passed.entry((from, to)).or_insert_with(|| edge.clone());
                    self.hidden(from, to, import.glob && !file.is_facade(), found.seen, &edge);
                }
            }
        }
        for (&(from, to), edge) in edges.iter().chain(&passed) {
            self.layer(from, to, edge);
        }
        self.circles(&edges);
    }

    /// An import of a facade that does not say what is imported through it.
    fn hidden(&mut self, from: usize, to: usize, glob: bool, seen: bool, edge: &Edge) {
        let (from, to) = (&self.tree.files[from].path, &self.tree.files[to].path);
        let Edge { line, path } = edge;
        if glob {
            self.findings.push(format!(
                "{from}:{line} imports all names of the facade {to} (`{path}::*`), which hides the files that it \
                 depends on: import the names that it needs"
            ));
        }
        if !seen {
            self.findings.push(format!(
                "{from}:{line} imports `{path}` through the facade {to}, and the test cannot tell which file defines \
                 it: import it from that file, or from its crate"
            ));
        }
    }

    /// Looks at an import between two modules.
    fn layer(&mut self, from: usize, to: usize, edge: &Edge) {
        let (Some((module, own)), Some((other, theirs))) = (self.place(from), self.place(to)) else {
            return;
        };
        if module == other || theirs < own {
            return;
        }
        let (from, to) = (&self.tree.files[from].path, &self.tree.files[to].path);
        let Edge { line, path } = edge;
        let why = if theirs == own {
            format!(
                "`{module}` and `{other}` are in one layer, so neither may know the other. Move what both need into a \
                 module below them, or let a module above hand it over; if one is meant to be below the other, give it a \
                 line of its own in the table"
            )
        } else if theirs == TOP {
            "nothing imports the root of the crate. Import from the file that defines it".to_owned()
        } else {
            format!(
                "`{other}` is in a higher layer than `{module}`, and a module imports only what is below it. Move what \
                 is needed into `{module}` or below, or take it as an argument, so that a module above both hands it over"
            )
        };
        self.find(
            |one| matches!(one, Exception::Import(a, b) if a == from && b == to),
            || format!("{from}:{line} imports `{path}` ({to}): {why} (the layers: {PAGE})"),
        );
    }

    fn module(&self, file: usize) -> Option<&str> {
        self.place(file).map(|(module, _)| module)
    }

    /// The module of the table that a file belongs to, and its layer.
    fn place(&self, file: usize) -> Option<(&str, usize)> {
        let path = &self.tree.files[file].module;
        if path.is_empty() {
            return Some(("the root", TOP));
        }
        let module = self.table.module_of(path)?;
        Some((module, self.table.layer(module)?))
    }

    fn circles(&mut self, edges: &BTreeMap<(usize, usize), Edge>) {
        let path = |file: usize| self.tree.files[file].path.as_str();
        let excepted = |from: usize, to: usize| {
            self.exceptions
                .iter()
                .position(|one| matches!(one, Exception::Import(a, b) if *a == path(from) && *b == path(to)))
        };
        let mut graph = Graph::default();
        let mut left_out = BTreeMap::new();
        for &(from, to) in edges.keys() {
            match excepted(from, to) {
                Some(place) => {
                    left_out.insert(place, (from, to));
                }
                None => graph.add(from, to),
            }
        }
        // An exception is needed as long as its import closes a circle of imports that are no exceptions.
        for (place, (from, to)) in left_out {
            if graph.way(to, from).is_some() {
                self.used.insert(place);
            } else {
                graph.add(from, to);
            }
        }
        for circle in graph.circles() {
            let shortest = graph.shortest_circle(&circle);
            let steps: Vec<String> = shortest
                .windows(2)
                .map(|pair| {
                    let Edge { line, path: name } = &edges[&(pair[0], pair[1])];
                    format!("    {}:{line} imports `{name}` ({})", path(pair[0]), path(pair[1]))
                })
                .collect();
            let size = match circle.len() - (shortest.len() - 1) {
                0 => String::new(),
                _ => {
                    let all: Vec<&str> = circle.iter().map(|&file| path(file)).collect();
                    format!("\n  {} files reach each other: {}", all.len(), all.join(", "))
                }
            };
            self.findings.push(format!(
                "files import each other in a circle, so that none can be read, tested or changed without the others:\n\
                 {}{size}\n  Move what both sides need into a file of its own below them, or move the function that \
                 goes up into the file that it calls",
                steps.join("\n")
            ));
        }
    }

    fn unused_exceptions(&mut self) {
        for (place, exception) in self.exceptions.iter().enumerate() {
            if !self.used.contains(&place) {
                self.findings.push(format!(
                    "tests/layers/exceptions.rs: {exception:?} is no longer needed: take it out"
                ));
            }
        }
    }
}
