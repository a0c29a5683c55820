//! What pages promise has tests: those that docs/architecture.md names for the laws, and those that the commands of README.md
//! run.

use std::fs;
use std::path::Path;

use crate::source::Sources;

/// The tests of a folder, as paths: `e2e::crash::every_inform_that_was_acknowledged_survives_200_kills`.
fn tests(folders: &[&str]) -> Vec<String> {
    let sources = Sources::read(Path::new(env!("CARGO_MANIFEST_DIR")), folders).unwrap();
    let mut tests = Vec::new();
    for (path, text) in &sources.0 {
        let module = path.trim_end_matches(".rs").split('/').skip(1).collect::<Vec<_>>().join("::");
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            match name.and_then(|rest| rest.split('(').next()) {
                Some(name) if is_test => tests.push(format!("{module}::{name}")),
                None if line.starts_with("#[test]") || line.starts_with("#[tokio::test") => is_test = true,
                // Other attributes, comments and arguments of the attribute stand between.
                None if line.starts_with("#[") || line.starts_with("//") => {}
                _ => is_test = false,
            }
        }
    }
    tests
}

/// The rows of the table below a heading of a page, without its head.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<&'p str> {
    let (_, below) = page.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let table = below.lines().skip_while(|line| !line.starts_with('|'));
    table.take_while(|line| line.starts_with('|')).skip(2).collect()
}

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What stands between back quotes in the last column.
fn quoted(row: &str) -> Vec<&str> {
    let (_, last) = row.trim_end_matches(['|', ' ']).rsplit_once("| ").unwrap();
    last.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_25_cases_have_tests() {
    let (page, tests) = (page("docs/time.md"), tests(&["src", "tests"]));
    let cases = rows(&page, "## The 25 cases");
    let numbers: Vec<String> =
        cases.iter().map(|case| case.split('|').nth(1).unwrap().trim().to_owned()).collect();
    assert_eq!(numbers, (1..=25).map(|n| n.to_string()).collect::<Vec<_>>());
    for case in cases {
        let named = quoted(case);
        assert!(!named.is_empty(), "{case}");
        for name in named {
            let exists = tests.iter().any(|test| test.rsplit("::").next() == Some(name));
            assert!(exists, "there is no test {name}: {case}");
        }
    }
}

/// What is delivered, the keys, a configuration, and how to see it work.
#[test]
fn the_page_of_each_sink_has_its_parts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks");
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let pages: Vec<String> = names.filter(|name| name != "README.md").collect();
    assert!(pages.len() > 20, "{pages:?}");
    let list = page("docs/sinks/README.md");
    for name in pages {
        let text = page(&format!("docs/sinks/{name}"));
        for part in ["```toml\n[[sinks]]\n", "\n## Keys\n", "\n## Try it\n", "elivered"] {
            assert!(text.contains(part), "docs/sinks/{name} has no {part:?}");
        }
        // Once in the list of all, and once with what it promises and whom it was tested with.
        let row = format!("\n| [{}]({name}) | ", name.trim_end_matches(".md"));
        assert_eq!(list.matches(&row).count(), 2, "docs/sinks/README.md: {row:?}");
    }
}

#[test]
fn the_tests_of_the_laws_exist() {
    let (page, tests) = (page("docs/architecture.md"), tests(&["src", "tests"]));
    let laws = rows(&page, "## Laws");
    assert_eq!(laws.len(), 12);
    for law in laws {
        let named = quoted(law);
        assert!(named.len() > 1, "{law}");
        for name in named {
            let exists = tests.iter().any(|test| test.rsplit("::").next() == Some(name));
            assert!(exists, "there is no test {name}: {law}");
        }
    }
}

/// Tests that are named by what they show, below two headings of docs/syslog.md.
#[test]
fn the_tests_of_what_is_read_of_lines_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (page, sources) = (page("docs/syslog.md"), Sources::read(root, &["src", "tests"]).unwrap());
    let (clauses, checks) = (rows(&page, "## RFC 5424"), rows(&page, "## Checks"));
    assert!(clauses.len() > 5 && checks.len() > 5);
    for name in clauses.iter().chain(&checks).flat_map(|row| quoted(row)) {
        // Properties have arguments.
        let exists = sources.0.values().any(|text| text.contains(&format!("fn {name}(")));
        assert!(exists, "docs/syslog.md: there is no test {name}");
    }
}

/// Each filter of a command must choose a test: `cargo test` is content with none.
#[test]
fn the_commands_of_the_promises_run_tests() {
    let page = page("README.md");
    let promises = rows(&page, "## What it promises");
    assert!(promises.len() > 15, "{}", promises.len());
    let mut commands = 0;
    for promise in promises {
        let commands_of = quoted(promise);
        let plain = commands_of.iter().map(|command| command.trim_start_matches("TRAPLINE_CHAOS=5 "));
        for command in plain.filter(|command| command.starts_with("cargo test")) {
            let words: Vec<&str> = command.split(' ').skip(2).collect();
            let (tests, rest) = match words.as_slice() {
                ["--lib", rest @ ..] => (tests(&["src"]), rest),
                ["--test", target, rest @ ..] => (tests(&[&format!("tests/{target}")]), rest),
                _ => panic!("neither --lib nor --test: {command}"),
            };
            let filters = rest.iter().filter(|word| !word.starts_with("--"));
            for filter in filters {
                assert!(tests.iter().any(|test| test.contains(filter)), "no test has {filter}: {command}");
            }
            assert!(!tests.is_empty(), "{command}");
            commands += 1;
        }
    }
    assert!(commands > 15, "{commands}");
}
