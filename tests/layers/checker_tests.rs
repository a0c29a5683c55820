//! The checker, held against small made-up sources.

use crate::check::check;
use crate::exceptions::Exception;
use crate::paths::is_test_only;
use crate::source::Sources;
use crate::table::Table;

type Files<'f> = &'f [(&'f str, &'f str)];

fn table(layers: &str) -> Table {
    Table::parse(&format!("# Page\n\n```layers\n{layers}\n```\n")).unwrap()
}

fn sources(files: Files<'_>) -> Sources {
    Sources(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

fn findings(layers: &str, files: Files<'_>, exceptions: &[Exception]) -> Vec<String> {
    check(&sources(files), &table(layers), exceptions)
}

/// The one finding, which must have all of `parts`.
#[track_caller]
fn finds(layers: &str, files: Files<'_>, parts: &[&str]) {
    let all = findings(layers, files, &[]);
    assert_eq!(all.len(), 1, "{all:#?}");
    for part in parts {
        assert!(all[0].contains(part), "`{part}` is not in: {}", all[0]);
    }
}

#[track_caller]
fn passes(layers: &str, files: Files<'_>) {
    assert_eq!(findings(layers, files, &[]), [""; 0]);
}

const TWO: &str = "pub mod low;\npub mod high;\n";

/// Two modules, of which the lower one has `low`.
#[track_caller]
fn goes_up(low: &str, line: usize) {
    let files = [
        ("src/lib.rs", TWO),
        ("src/low.rs", low),
        ("src/high.rs", "pub struct High;\npub mod inner { pub fn f() {} }\n"),
    ];
    let place = format!("src/low.rs:{line} imports `");
    finds("low\nhigh", &files, &[&place, "src/high.rs", "`high` is in a higher layer than `low`"]);
}

#[test]
fn what_is_below_may_be_imported() {
    let files = [
        ("src/lib.rs", TWO),
        ("src/low.rs", "pub struct Low;\n"),
        ("src/high.rs", "use crate::low::Low;\nfn f(_: Low) -> crate::low::Low { crate::low::Low }\n"),
    ];
    passes("low\nhigh", &files);
}

#[test]
fn every_way_to_import_upwards_is_found() {
    goes_up("\nuse crate::high::High;", 2);
    goes_up("use crate::high;\nfn f() { high::inner::f() }", 1);
    goes_up("use crate::high::{inner::{self, f}, High as Low};", 1);
    goes_up("use crate::high::*;", 1);
    goes_up("use super::high::High;", 1);
    goes_up("use self::super::high::High;", 1);
    goes_up("fn f() {\n use crate::high::High;\n}", 2);
    goes_up("fn f() {\n let x = crate::high::High;\n}", 2);
    goes_up("fn f(\n x: &mut Vec<crate::high::High>) {}", 2);
    goes_up("fn f() { match 1 {\n crate::high::High => {}\n _ => {} } }", 2);
    goes_up("fn f() { g::<crate::high::High>(); }", 1);
    goes_up("struct S;\nimpl From<crate::high::High> for S {}", 2);
    goes_up("struct S;\nimpl S { #[cfg(not(test))] fn f() {\n crate::high::inner::f() } }", 3);
    goes_up("mod inside {\n fn f() { super::super::high::inner::f() } }", 2);
}

#[test]
fn tokens_of_macros_and_attributes_are_read() {
    goes_up("fn f() {\n format!(\"{}\", crate::high::inner::f()); }", 2);
    goes_up("fn f() { json!({\n \"a\": [crate::high::inner::f()] }); }", 2);
    goes_up("fn f() { vec![Vec::<crate::high::High>::new()]; }", 1);
    goes_up("macro_rules! m { () => {\n $crate::high::inner::f() } }", 2);
    goes_up("made! { struct S {\n field: super::high::High } }", 2);
    goes_up("use crate::high as up;\nfn f() { println!(\"{}\", up::inner::f()); }", 1);
    goes_up("#[derive(Deserialize)]\nstruct S {\n #[serde(with = \"crate::high::inner\")]\n field: u8 }", 3);
    goes_up("struct S {\n #[arg(value_parser = crate::high::inner::f)]\n field: u8 }", 2);
}

#[test]
fn what_only_looks_like_an_import_is_none() {
    let low = r#"
        //! [`crate::high::High`] is a link.
        pub(in crate::low) fn f(high: u8) { g(high); h.high::<u8>(); }
        fn g(_: u8) { println!("crate::high::High {high}", ::high::x); ::high::f(); serde::high::f(); }
    "#;
    let files = [("src/lib.rs", TWO), ("src/low.rs", low), ("src/high.rs", "pub struct High;")];
    passes("low\nhigh", &files);
}

#[test]
fn code_for_tests_may_import_anything() {
    let low = r"
        #[cfg(test)]
        use crate::high::High;
        #[cfg(all(test, unix))]
        fn f() { crate::high::f() }
        struct S;
        impl S { #[cfg(test)] fn f() { crate::high::f() } }
        fn g() { #[cfg(test)] let x = crate::high::f(); }
        #[test]
        fn h() { crate::high::f() }
        #[cfg(test)]
        mod tests { use super::*; use crate::high::*; }
        #[cfg(test)]
        mod more_tests;
    ";
    let files = [
        ("src/lib.rs", TWO),
        ("src/low.rs", low),
        ("src/low/more_tests.rs", "use crate::high::High;"),
        ("src/high.rs", "use crate::low::S;"),
    ];
    passes("low\nhigh", &files);
}

#[test]
fn code_for_tests_is_what_is_compiled_for_nothing_else() {
    let test_only = |attribute: &str| {
        let item: syn::ItemStruct = syn::parse_str(&format!("{attribute} struct S;")).unwrap();
        is_test_only(&item.attrs)
    };
    assert!(test_only("#[cfg(test)]"));
    assert!(test_only("#[cfg(all(unix, test))]"));
    assert!(test_only("#[cfg(any(test, all(test, unix)))]"));
    assert!(!test_only("#[cfg(any(test, unix))]"));
    assert!(!test_only("#[cfg(not(test))]"));
    assert!(!test_only("#[derive(Debug)]"));
}

#[test]
fn modules_of_one_layer_do_not_know_each_other() {
    let files = [
        ("src/lib.rs", "mod a;\nmod b;"),
        ("src/a.rs", "pub struct A;"),
        ("src/b.rs", "fn f(_: crate::a::A) {}"),
    ];
    finds("a b", &files, &["src/b.rs:1", "`b` and `a` are in one layer"]);
    passes("a\nb", &files);
}

#[test]
fn a_part_of_a_module_can_have_a_layer_of_its_own() {
    let files = |low: &'static str, part: &'static str| {
        [
            ("src/lib.rs", "mod low;\nmod middle;"),
            ("src/low/mod.rs", "pub mod own;\npub mod part;"),
            ("src/low/own.rs", low),
            ("src/low/part.rs", part),
            ("src/middle.rs", "use crate::low::own::Own;\npub struct Middle;"),
        ]
    };
    let layers = "low\nmiddle\nlow/part";
    passes(layers, &files("pub struct Own;", "use super::own::Own;\nuse crate::middle::Middle;"));
    let up = files("pub struct Own;\nuse super::part::Part;", "pub struct Part;");
    finds(layers, &up, &["src/low/own.rs:2", "`low/part` is in a higher layer than `low`"]);
}

#[test]
fn names_are_followed_to_the_file_that_defines_them() {
    let through = |facade: &'static str, import: &'static str| {
        [
            ("src/lib.rs", "mod low;\nmod middle;\nmod high;"),
            ("src/low.rs", import),
            ("src/middle/mod.rs", facade),
            ("src/middle/inner.rs", "pub struct Inner;\n"),
            ("src/high/mod.rs", "mod part;\npub use part::*;"),
            ("src/high/part.rs", "pub struct Part;"),
        ]
    };
    // Through a facade of the layer below, a name of the layer above.
    let files = through("pub use crate::high::Part as Piece;", "use crate::middle::Piece;");
    let files: Vec<_> = files.into_iter().filter(|(path, _)| *path != "src/middle/inner.rs").collect();
    let all = findings("middle\nlow\nhigh", &files, &[]);
    assert_eq!(all.len(), 2, "{all:#?}");
    assert!(
        all.iter()
            .any(|one| one.starts_with("src/low.rs:1 imports `crate::middle::Piece` (src/high/part.rs)"))
    );
    assert!(all.iter().any(|one| one.starts_with("src/middle/mod.rs:1 imports `crate::high::Part`")));

    // Through a facade of a layer above, a name of the layer below: the facade is above all the same.
    let files = through("mod inner;\npub use crate::high::Part;", "use crate::middle::Part;");
    finds(
        "high\nlow\nmiddle",
        &files,
        &["src/low.rs:1", "(src/middle/mod.rs)", "`middle` is in a higher layer"],
    );

    // A facade hands on what is imported.
    let files = through("mod inner;\npub use inner::Inner;", "use crate::middle;\nfn f(_: middle::Inner) {}");
    passes("high middle\nlow", &files);
}

#[test]
fn files_that_import_each_other_are_found() {
    let files = [
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod one;\nmod two;\nmod three;"),
        ("src/a/one.rs", "use super::two::Two;\npub struct One;"),
        ("src/a/two.rs", "pub struct Two;\nfn f() { super::three::f() }"),
        ("src/a/three.rs", "pub fn f() { format!(\"{:?}\", super::one::One); }"),
    ];
    finds(
        "a",
        &files,
        &[
            "    src/a/one.rs:1 imports `super::two::Two` (src/a/two.rs)\n",
            "    src/a/two.rs:2 imports `super::three::f` (src/a/three.rs)\n",
            "    src/a/three.rs:1 imports `super::one::One` (src/a/one.rs)\n",
        ],
    );
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    let files = [
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod one;\nmod two;\npub use self::{one::One, two::Two as Second};"),
        ("src/a/one.rs", "use crate::a::Second;\npub struct One;"),
        ("src/a/two.rs", "use super::One;\npub struct Two;"),
    ];
    finds(
        "a",
        &files,
        &["src/a/one.rs:1 imports `crate::a::Second` (src/a/two.rs)", "`super::One` (src/a/one.rs)"],
    );
}

#[test]
fn what_a_function_imports_is_followed_too() {
    let files = [
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod one;\nmod two;\npub use two::Two;"),
        ("src/a/one.rs", "pub struct One;\nfn f() {\n use crate::a as here;\n here::Two; }"),
        ("src/a/two.rs", "use super::one::One;\npub struct Two;"),
    ];
    finds("a", &files, &["src/a/one.rs:4 imports `here::Two` (src/a/two.rs)"]);
}

#[test]
fn the_shortest_circle_is_shown_and_all_files_of_it_are_named() {
    let files = [
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod one;\nmod two;\nmod three;"),
        ("src/a/one.rs", "use super::two::Two;\npub struct One;"),
        ("src/a/two.rs", "use super::three::Three;\npub struct Two;"),
        ("src/a/three.rs", "use super::{one::One, two::Two};\npub struct Three;"),
    ];
    finds("a", &files, &["3 files reach each other: src/a/one.rs, src/a/two.rs, src/a/three.rs"]);
}

#[test]
fn a_fat_facade_is_no_facade() {
    let files = [
        ("src/lib.rs", "mod a;"),
        (
            "src/a/mod.rs",
            "//! Docs.\n#![allow(dead_code)]\npub mod one;\nuse one::One;\npub struct Fat(One);\nfn f() {}",
        ),
        ("src/a/one.rs", "pub struct One;"),
    ];
    finds("a", &files, &["src/a/mod.rs:5 holds the struct `Fat` and 1 more", "`pub use` only"]);
    let facade = "pub mod one;\npub(crate) use one::One;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nuse one::One as Two;";
    let files = [files[0], ("src/a/mod.rs", facade), files[2], ("src/a/tests.rs", "use super::*;")];
    passes("a", &files);
}

#[test]
fn a_fat_facade_that_its_parts_import_is_a_circle_too() {
    let files = [
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "pub mod one;\npub fn f() { one::g() }"),
        ("src/a/one.rs", "pub fn g() { super::f() }"),
    ];
    let all = findings("a", &files, &[Exception::Facade("src/a/mod.rs")]);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert!(all[0].contains("src/a/mod.rs:2 imports `one::g` (src/a/one.rs)"), "{}", all[0]);
}

#[test]
fn what_a_facade_hides_must_be_named() {
    let files = |import: &'static str| {
        [
            ("src/lib.rs", "mod a;\nmod b;"),
            ("src/a/mod.rs", "mod one;\npub use one::One;\npub use serde::Deserialize;"),
            ("src/a/one.rs", "pub struct One;"),
            ("src/b.rs", import),
        ]
    };
    finds("a\nb", &files("use crate::a::*;"), &["src/b.rs:1 imports all names of the facade src/a/mod.rs"]);
    finds("a\nb", &files("use crate::a::Deserialize;"), &["src/b.rs:1", "cannot tell which file defines"]);
}

#[test]
fn a_module_and_a_function_may_have_one_name() {
    let files = [
        ("src/lib.rs", "mod a;\nmod b;"),
        ("src/a/mod.rs", "pub mod walk;\npub use walk::walk;"),
        ("src/a/walk.rs", "pub fn walk() {}\npub struct Step;"),
        ("src/b.rs", "use crate::a::walk;\nfn f(_: walk::Step) { walk() }"),
    ];
    passes("a\nb", &files);
}

#[test]
fn what_a_macro_defines_is_in_the_file_of_the_macro() {
    let files = [
        ("src/lib.rs", "mod a;\nmod b;"),
        ("src/a.rs", "counters! { Stats }"),
        ("src/b.rs", "use crate::a::Stats;"),
    ];
    finds("b\na", &files, &["src/b.rs:1", "src/a.rs"]);
}

#[test]
fn the_binary_knows_the_library_by_its_name() {
    let files = [
        ("src/lib.rs", "pub mod a;"),
        ("src/main.rs", "use trapline::a::A;\nfn main() {}"),
        ("src/a.rs", "pub struct A;"),
    ];
    passes("a", &files);
}

#[test]
fn the_table_and_the_modules_agree() {
    let files = [("src/lib.rs", "mod a;\nmod b;"), ("src/a.rs", ""), ("src/b/mod.rs", "")];
    finds("a", &files, &["src/b/mod.rs: the module `b` is not in the table", "docs/architecture.md"]);
    finds("a b c/d", &files, &["docs/architecture.md:4 lists the module `c/d`", "neither src/c/d.rs"]);
    passes("a b", &files);
}

#[test]
fn a_page_without_a_table_is_refused() {
    assert!(Table::parse("# Page\n```\na\n```\n").unwrap_err().contains("has no table of layers"));
    assert!(Table::parse("```layers\n# a\n```\n").unwrap_err().contains("has no table of layers"));
    let twice = Table::parse("```layers\na\nb a\n```\n").unwrap_err();
    assert!(twice.contains("docs/architecture.md:3 lists `a` again, after line 2"), "{twice}");
}

#[test]
fn comments_and_empty_lines_are_no_layers() {
    let table = table("a  # the lowest\n\n# nothing\nb c");
    assert_eq!((table.layer("a"), table.layer("b"), table.layer("c")), (Some(0), Some(1), Some(1)));
    assert_eq!(table.layer("lowest"), None);
}

#[test]
fn long_files_are_found() {
    let long = "\n".repeat(601);
    let files = [("src/lib.rs", "mod a;"), ("src/a.rs", ""), ("tests/e2e/x.rs", &*long)];
    finds("a", &files, &["tests/e2e/x.rs has 601 lines, the limit is 600"]);
    let files = [files[0], files[1], ("tests/e2e/x.rs", &long[1..])];
    passes("a", &files);
}

#[test]
fn files_that_are_not_in_the_tree_are_found() {
    finds("a", &[("src/lib.rs", "mod a;")], &["src/lib.rs:1 declares `mod a`, which has no file"]);
    finds("a", &[("src/lib.rs", ""), ("src/a.rs", "")], &["src/a.rs belongs to no module"]);
    finds("a", &[("src/lib.rs", "mod a;"), ("src/a.rs", "\nfn (")], &["src/a.rs:2 cannot be parsed"]);
}

#[test]
fn modules_with_parts_have_a_folder() {
    let files = [("src/lib.rs", "mod a;"), ("src/a.rs", "mod b;"), ("src/a/b.rs", "")];
    finds("a", &files, &["src/a.rs:1 declares the module `b`", "src/a/mod.rs"]);
    let named = "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;";
    passes("a", &[files[0], ("src/a.rs", named), ("src/a_tests.rs", "use crate::x;")]);
}

#[test]
fn exceptions_are_let_pass_while_they_are_needed() {
    let files =
        [("src/lib.rs", TWO), ("src/low.rs", "use crate::high::High;"), ("src/high.rs", "pub struct High;")];
    let exception = [Exception::Import("src/low.rs", "src/high.rs")];
    assert_eq!(findings("low\nhigh", &files, &exception), [""; 0]);
    let all = findings("high\nlow", &files, &exception);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert!(all[0].contains("is no longer needed"), "{}", all[0]);

    let long = "\n".repeat(601);
    let files = [("src/lib.rs", TWO), ("src/low.rs", &*long), ("src/high/mod.rs", "fn f() {}")];
    let exceptions = [
        Exception::Long("src/low.rs"),
        Exception::Facade("src/high/mod.rs"),
        Exception::Missing("nowhere"),
        Exception::Unlisted("high"),
    ];
    assert_eq!(findings("low\nnowhere", &files, &exceptions), [""; 0]);
    let files = [("src/lib.rs", TWO), ("src/low.rs", ""), ("src/high/mod.rs", "")];
    assert_eq!(findings("low\nhigh", &files, &exceptions).len(), 4);
}

#[test]
fn an_exception_of_a_circle_is_needed_only_while_it_closes_it() {
    let files = |three: &'static str| {
        [
            ("src/lib.rs", "mod a;"),
            ("src/a/mod.rs", "mod one;\nmod two;\nmod three;"),
            ("src/a/one.rs", "use super::two::Two;\npub struct One;"),
            ("src/a/two.rs", "use super::three::Three;\npub struct Two;"),
            ("src/a/three.rs", three),
        ]
    };
    let closed = files("use super::one::One;\npub struct Three;");
    let one = Exception::Import("src/a/three.rs", "src/a/one.rs");
    let other = Exception::Import("src/a/one.rs", "src/a/two.rs");
    assert_eq!(findings("a", &closed, &[one]), [""; 0]);
    // Either is enough: the first that is not needed beside the other is to go, not both.
    let all = findings("a", &closed, &[one, other]);
    assert_eq!(all.len(), 1, "{all:#?}");
    let all = findings("a", &files("pub struct Three;"), &[one]);
    assert!(all.len() == 1 && all[0].contains("is no longer needed"), "{all:#?}");
}
