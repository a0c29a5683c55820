//! The layers of the source code: who may import whom.
//!
//! The table is the block `layers` of `docs/architecture.md`. The test reads every file below `src/`, finds what each
//! one imports, and fails on
//! - an import of a module in a higher layer, or of another module in the same layer;
//! - files that import each other, directly or in a circle, also inside one module;
//! - a `mod.rs` that is more than a facade: docs, attributes, `mod` and `pub use`;
//! - a module that the table lacks, and one that exists in the table only;
//! - a file of more than 600 lines in `src/`, `tests/` or `benches/`.
//!
//! A name that comes through `pub use` counts as an import of the file that defines it. Code that is compiled for tests only
//! may import anything. Only imports count: a method of another file's `impl` block needs none.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used
)]

mod blocking;
mod check;
mod checker_tests;
mod clocks;
mod exceptions;
mod graph;
mod memory;
mod metrics;
mod pages;
mod paths;
mod pauses;
mod resolve;
mod source;
mod table;

use std::fs;
use std::path::Path;

use check::check;
use exceptions::EXCEPTIONS;
use source::Sources;
use table::Table;

#[test]
fn every_file_imports_only_what_is_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(table::PAGE)).unwrap();
    let table = Table::parse(&page).unwrap();
    let sources = Sources::read(root, &["src", "tests", "benches"]).unwrap();
    let findings = check(&sources, &table, EXCEPTIONS);
    assert!(findings.is_empty(), "{} findings:\n\n{}\n", findings.len(), findings.join("\n\n"));
}
