//! Every path that a file writes: in `use`, in types and expressions, in attributes and the tokens of macros.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, Token, TraitItem, UseTree};

use crate::source::{Module, Name};

/// A path that a file writes.
#[derive(Debug)]
pub struct Import {
    /// The module that it stands in.
    pub module: usize,
    /// Its line.
    pub line: usize,
    /// Its segments, without arguments.
    pub path: Vec<String>,
    /// Whether all names of what it names are imported.
    pub glob: bool,
}

/// Finds all paths that items write, outside of code for tests, and tells the modules the names that functions import
/// for themselves. `module` has the items.
pub fn read_imports(items: &[Item], module: usize, modules: &mut [Module]) -> Vec<Import> {
    let mut finder = Finder { module, depth: 0, modules, imports: Vec::new() };
    for item in items {
        finder.visit_item(item);
    }
    finder.imports
}

struct Finder<'m> {
    module: usize,
    /// How many blocks are around: a `use` in a block is none of the module's items.
    depth: usize,
    modules: &'m mut [Module],
    imports: Vec<Import>,
}

impl Finder<'_> {
    fn add(&mut self, line: usize, path: Vec<String>) {
        if path.len() > 1 {
            self.imports.push(Import { module: self.module, line, path, glob: false });
        }
    }

    /// Finds paths in tokens that have no syntax tree. A single name is none: it can be anything.
    fn scan(&mut self, tokens: TokenStream, texts_are_paths: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.scan(group.stream(), texts_are_paths),
                TokenTree::Literal(literal) if texts_are_paths => {
                    let text = literal.to_string();
                    if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) {
                        self.add(literal.span().start().line, names(&path));
                    }
                }
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    let continues = colons_end_at(&tokens, at);
                    let mut path = vec![ident.to_string()];
                    while let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                        && colons_end_at(&tokens, at + 3)
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    if !continues {
                        self.add(line, path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// Whether `::` stands right before a token.
fn colons_end_at(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |token: &TokenTree, wanted| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == wanted);
    at >= 2 && is_colon(&tokens[at - 2], Spacing::Joint) && is_colon(&tokens[at - 1], Spacing::Alone)
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(item_attrs(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let meanings = self.modules[self.module].names.get(&item.ident.to_string());
        let inner = meanings.and_then(|meanings| {
            meanings.iter().find_map(|meaning| match meaning {
                Name::Module(module) => Some(*module),
                _ => None,
            })
        });
        if let (Some(inner), Some(_)) = (inner, &item.content) {
            let outer = std::mem::replace(&mut self.module, inner);
            visit::visit_item_mod(self, item);
            self.module = outer;
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_some() {
            return;
        }
        let line = item.use_token.span.start().line;
        for (name, path) in flatten(&item.tree) {
            let glob = name.is_none();
            self.imports.push(Import { module: self.module, line, path: path.clone(), glob });
            if self.depth > 0 {
                self.modules[self.module].add_use(name, path);
            }
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.depth += 1;
        visit::visit_block(self, block);
        self.depth -= 1;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            self.add(first.ident.span().start().line, names(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_path(&mac.path);
        self.scan(mac.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone(), list.path.is_ident("serde"));
        }
    }

    /// `pub(in crate::some::module)` names a module and imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attrs: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test_only(attrs) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attrs: &[Attribute] = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test_only(attrs) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_test_only(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_stmt_macro(&mut self, statement: &'ast syn::StmtMacro) {
        if !is_test_only(&statement.attrs) {
            visit::visit_stmt_macro(self, statement);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test_only(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_test_only(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test_only(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_test_only(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }
}

/// What a `use` brings: names with their paths; no name where it is all of a path's names.
pub fn flatten(tree: &UseTree) -> Vec<(Option<String>, Vec<String>)> {
    let mut found = Vec::new();
    flatten_into(tree, &mut Vec::new(), &mut found);
    found
}

fn flatten_into(tree: &UseTree, before: &mut Vec<String>, found: &mut Vec<(Option<String>, Vec<String>)>) {
    let mut leaf = |last: &syn::Ident, name: Option<String>| {
        let mut path = before.clone();
        if last != "self" || path.is_empty() {
            path.push(last.to_string());
        }
        let name = name.or_else(|| path.last().cloned());
        found.push((name, path));
    };
    match tree {
        UseTree::Name(name) => leaf(&name.ident, None),
        UseTree::Rename(rename) => leaf(&rename.ident, Some(rename.rename.to_string())),
        UseTree::Glob(_) => found.push((None, before.clone())),
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten_into(&path.tree, before, found);
            before.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten_into(tree, before, found);
            }
        }
    }
}

fn names(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Whether attributes keep something out of everything but tests.
pub fn is_test_only(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            syn::parse2::<Meta>(list.tokens.clone()).is_ok_and(|condition| needs_test(&condition))
        }
        Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

fn needs_test(condition: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap_or_default()
    };
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(needs_test),
        Meta::List(list) if list.path.is_ident("any") => parts(list).iter().all(needs_test),
        _ => false,
    }
}

/// The attributes of an item.
pub fn item_attrs(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
