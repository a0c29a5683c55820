//! Source files, and the tree of modules that they form.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::{fs, io};

use syn::{Item, ItemMod, Meta, Visibility};

use crate::paths::{Import, flatten, is_test_only, item_attrs, read_imports};

/// The text of every file, by its path from the root of the project.
#[derive(Debug, Default)]
pub struct Sources(pub BTreeMap<String, String>);

impl Sources {
    /// Reads all files that end in `.rs` in some folders below `root`.
    ///
    /// # Errors
    ///
    /// What the system says, if a folder or a file cannot be read.
    pub fn read(root: &Path, folders: &[&str]) -> io::Result<Self> {
        let mut sources = Sources::default();
        let mut open: Vec<String> = folders.iter().map(|folder| (*folder).to_owned()).collect();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    open.push(path);
                } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                    sources.0.insert(path, fs::read_to_string(entry.path())?);
                }
            }
        }
        Ok(sources)
    }
}

/// A file below `src/`.
#[derive(Debug)]
pub struct File {
    /// Its path from the root of the project.
    pub path: String,
    /// Its module path: empty for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    /// Whether it is compiled for tests only.
    pub test: bool,
    /// What it imports, outside of code for tests.
    pub imports: Vec<Import>,
    /// What it holds besides docs, attributes, `mod` and `pub use`: lines and what stands there.
    pub contents: Vec<(usize, String)>,
    /// The first module that it declares and that has a file of its own, with its line.
    pub child: Option<(usize, String)>,
}

impl File {
    /// Whether it is `lib.rs` or a `mod.rs`.
    pub fn should_be_facade(&self) -> bool {
        self.path.ends_with("/mod.rs") || self.path == "src/lib.rs"
    }

    /// Whether importing it means nothing but importing what it re-exports.
    pub fn is_facade(&self) -> bool {
        self.should_be_facade() && self.contents.is_empty()
    }
}

/// A module: a file, or one that stands inside a file.
#[derive(Debug)]
pub struct Module {
    /// The place of its file.
    pub file: usize,
    /// The module that declares it; none for the root.
    pub parent: Option<usize>,
    /// What its names mean; a name can stand for several things (a module, a function).
    pub names: HashMap<String, Vec<Name>>,
    /// Paths of which it imports all names.
    pub globs: Vec<Vec<String>>,
}

/// What a name in a module means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// Something that is defined here.
    Item,
    /// A module.
    Module(usize),
    /// What this path means.
    Use(Vec<String>),
}

/// All modules of the library and the binary.
#[derive(Debug, Default)]
pub struct Tree {
    /// The files.
    pub files: Vec<File>,
    /// The modules.
    pub modules: Vec<Module>,
    /// The module of `lib.rs`.
    pub library: Option<usize>,
}

/// The name of the library, by which the binary knows it.
pub const LIBRARY: &str = "trapline";

impl Tree {
    /// Parses all files below `src/`.
    ///
    /// # Errors
    ///
    /// What could not be parsed, and files that no `mod` leads to.
    pub fn parse(sources: &Sources) -> Result<Self, Vec<String>> {
        let mut tree = Tree::default();
        let mut errors = Vec::new();
        for root in ["src/lib.rs", "src/main.rs"] {
            if sources.0.contains_key(root) {
                let module = tree.add_file(sources, root, Vec::new(), None, false, &mut errors);
                if root == "src/lib.rs" {
                    tree.library = module;
                }
            }
        }
        // What could not be parsed may declare the rest.
        if errors.is_empty() {
            let files = sources.0.keys().filter(|path| path.starts_with("src/"));
            let stray = files.filter(|path| !tree.files.iter().any(|file| file.path == **path));
            let words =
                |path: &String| format!("{path} belongs to no module: declare it with `mod`, or delete it");
            errors.extend(stray.map(words));
        }
        if errors.is_empty() { Ok(tree) } else { Err(errors) }
    }

    fn add_file(
        &mut self,
        sources: &Sources,
        path: &str,
        module: Vec<String>,
        parent: Option<usize>,
        test: bool,
        errors: &mut Vec<String>,
    ) -> Option<usize> {
        let syntax = match syn::parse_file(&sources.0[path]) {
            Ok(syntax) => syntax,
            Err(error) => {
                errors.push(format!("{path}:{} cannot be parsed: {error}", error.span().start().line));
                return None;
            }
        };
        let test = test || is_test_only(&syntax.attrs);
        let file = self.files.len();
        self.files.push(File {
            path: path.to_owned(),
            module: module.clone(),
            test,
            imports: Vec::new(),
            contents: contents(&syntax.items),
            child: None,
        });
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = match name {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        let place = Place { folder, module, test };
        let id = self.add_module(sources, file, parent, &syntax.items, &place, errors);
        if !test {
            let imports = read_imports(&syntax.items, id, &mut self.modules);
            self.files[file].imports = imports;
        }
        Some(id)
    }

    fn add_module(
        &mut self,
        sources: &Sources,
        file: usize,
        parent: Option<usize>,
        items: &[Item],
        place: &Place,
        errors: &mut Vec<String>,
    ) -> usize {
        let id = self.modules.len();
        self.modules.push(Module { file, parent, names: HashMap::new(), globs: Vec::new() });
        for item in items {
            let test_only = is_test_only(item_attrs(item));
            match item {
                Item::Mod(item) => {
                    let test = place.test || test_only;
                    let child = self.add_child(sources, id, item, test, place, errors);
                    if let (Some(child), false) = (child, test_only) {
                        self.modules[id].add(item.ident.to_string(), Name::Module(child));
                    }
                }
                Item::Use(item) if !test_only => {
                    for (name, path) in flatten(&item.tree) {
                        self.modules[id].add_use(name, path);
                    }
                }
                _ if test_only => {}
                _ => {
                    for name in defined_names(item) {
                        self.modules[id].add(name, Name::Item);
                    }
                }
            }
        }
        id
    }

    /// Adds the module that a `mod` declares.
    fn add_child(
        &mut self,
        sources: &Sources,
        parent: usize,
        item: &ItemMod,
        test: bool,
        place: &Place,
        errors: &mut Vec<String>,
    ) -> Option<usize> {
        let name = item.ident.to_string();
        let file = self.modules[parent].file;
        let mut module = place.module.clone();
        module.push(name.clone());
        if let Some((_, items)) = &item.content {
            let place = Place { folder: format!("{}/{name}", place.folder), module, test };
            return Some(self.add_module(sources, file, Some(parent), items, &place, errors));
        }
        let line = item.ident.span().start().line;
        let found = candidates(item, &self.files[file].path, &place.folder)
            .into_iter()
            .find(|path| sources.0.contains_key(path));
        let Some(path) = found else {
            errors.push(format!("{}:{line} declares `mod {name}`, which has no file", self.files[file].path));
            return None;
        };
        if !test {
            self.files[file].child.get_or_insert((line, name));
        }
        self.add_file(sources, &path, module, Some(parent), test, errors)
    }
}

/// Where the modules that a module declares are looked for.
struct Place {
    folder: String,
    module: Vec<String>,
    test: bool,
}

impl Module {
    /// Adds a meaning of a name.
    pub fn add(&mut self, name: String, meaning: Name) {
        let meanings = self.names.entry(name).or_default();
        if !meanings.contains(&meaning) {
            meanings.push(meaning);
        }
    }

    /// Adds what a `use` brings: a name, or all names where `name` is none.
    pub fn add_use(&mut self, name: Option<String>, path: Vec<String>) {
        match name {
            Some(name) => self.add(name, Name::Use(path)),
            None => self.globs.push(path),
        }
    }
}

/// The files that a `mod` without a body can mean.
fn candidates(item: &ItemMod, file: &str, folder: &str) -> Vec<String> {
    let named = item.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let name = &item.ident;
    match named {
        Some(named) => vec![format!("{}/{named}", file.rsplit_once('/').map_or("", |(folder, _)| folder))],
        None => vec![format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")],
    }
}

/// What a file holds that a facade does not hold; private imports only where there is nothing else.
fn contents(items: &[Item]) -> Vec<(usize, String)> {
    let all: Vec<(&Item, (usize, String))> =
        items.iter().filter_map(|item| Some((item, content(item)?))).collect();
    let only_imports = all.iter().all(|(item, _)| matches!(item, Item::Use(_)));
    let wanted = all.into_iter().filter(|(item, _)| only_imports || !matches!(item, Item::Use(_)));
    wanted.map(|(_, content)| content).collect()
}

/// Line and words for an item that a facade does not hold.
fn content(item: &Item) -> Option<(usize, String)> {
    let (ident, what) = match item {
        Item::Mod(item) if item.content.is_none() => return None,
        item if is_test_only(item_attrs(item)) => return None,
        Item::Use(item) if !matches!(item.vis, Visibility::Inherited) => return None,
        Item::Use(item) => return Some((item.use_token.span.start().line, "a private `use`".to_owned())),
        Item::Impl(item) => return Some((item.impl_token.span.start().line, "an `impl`".to_owned())),
        Item::Macro(item) => {
            let path = &item.mac.path;
            let ident = item.ident.as_ref().or(path.segments.last().map(|last| &last.ident))?;
            (ident, "the macro")
        }
        Item::Const(item) => (&item.ident, "the constant"),
        Item::Enum(item) => (&item.ident, "the enum"),
        Item::Fn(item) => (&item.sig.ident, "the function"),
        Item::Mod(item) => (&item.ident, "the body of the module"),
        Item::Static(item) => (&item.ident, "the static"),
        Item::Struct(item) => (&item.ident, "the struct"),
        Item::Trait(item) => (&item.ident, "the trait"),
        Item::Type(item) => (&item.ident, "the type"),
        _ => return Some((0, "an item of another kind".to_owned())),
    };
    Some((ident.span().start().line, format!("{what} `{ident}`")))
}

/// The names that an item defines in its module.
fn defined_names(item: &Item) -> Vec<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => match &item.ident {
            Some(ident) => ident,
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    vec![ident.to_string()]
}
