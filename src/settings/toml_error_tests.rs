//! Files that are no TOML, each with a mistake of a kind: its cause is said once, where it is, and what to write.

use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText};
use crate::settings::toml_errors::read;

const WHOLE: &str = r#"# A rule.
[journal]
directory = "/var/lib/x" # here
sync = "batch"
sizes = [1, 2, 3]
[hosts]
map = { "192.0.2.1" = "router1", b = 'two' }
files = ["a.csv", "b.csv"]
[[rule]]
id = 'a'
where = "ifDescr == 'x'"
long = """
several [ lines
"""
[[rule.test]]
varbinds = { "ifIndex.3" = 3, "ifDescr.3" = "Gi0/3" }
nested = [
  { a = 1, b = [1, 2] }, # ]
  { a = 2 },
]
expect = { state = "ok" }
"#;

fn said(text: &str) -> Vec<Diagnostic> {
    let mut found = Diagnostics::default();
    let root = read(&SourceText { file: "t.toml", text }, &mut found);
    assert_eq!(root.is_none(), found.has_errors(), "{text}");
    found.sorted()
}

#[test]
fn whatever_sign_is_missing_it_is_said_once_and_where() {
    assert_eq!(said(WHOLE), []);
    let mut seen = 0;
    for (at, c) in WHOLE.char_indices().filter(|(_, c)| "\"'[]{}=,".contains(*c)) {
        let text = format!("{}{}", &WHOLE[..at], &WHOLE[at + 1..]);
        let all = said(&text);
        let line = WHOLE[..at].matches('\n').count() + 1;
        if all.is_empty() {
            continue;
        }
        seen += 1;
        let told: Vec<String> = all.iter().map(ToString::to_string).collect();
        let what = format!("{c} of line {line} removed: {told:?}");
        assert!(all.iter().all(|one| one.place.is_some() && one.hint.is_some()), "{what}");
        // A text of several lines ends where another begins, and a table name below an array is read as a value of it.
        let several = (12..=14).contains(&line) || (17..=20).contains(&line);
        if !several {
            assert_eq!(all.len(), 1, "{what}");
        }
        let first = all[0].place.map_or(0, |(line, _)| line);
        let near = if several { line.saturating_sub(3)..=line + 3 } else { line..=line };
        assert!(near.contains(&first), "{what}");
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn mistakes_in_several_statements_are_all_said() {
    let text = "a = [1, 2\nb = \"x\nc = 1\nd = word\n[t]\ne = { x = 1\nf = 2\ne = 3 4\n[u\ng = ?\n";
    let places: Vec<_> = said(text).into_iter().map(|one| one.place.unwrap()).collect();
    assert_eq!(places, [(1, 5), (2, 5), (4, 5), (6, 5), (8, 7), (9, 3)]);
}

#[test]
fn what_is_meant_is_said() {
    let texts = [
        "listen = [\"127.0.0.1:1162]",
        "listen = [127.0.0.1:1162\"]",
        "listen = \"a\", \"b\"]",
        "directory = \"/tmp/j",
        "directory = /tmp/j\"",
        "directory = 'it's'",
        "directory = \"\"\"a\n",
        "sync = batch",
        "sync = inf-x",
        "every = 5m",
        "address = 192.0.2.1",
        "output = {{ host }} is down",
        "names = [a, b]",
        "on = yes",
        "on = False",
        "on = null",
        "map = { \"a\" = 1",
        "map = \"a\" = 1 }",
        "map = { a = 1 b = 2 }",
        "list = [1 2]",
        "list = [1,",
        "key",
        "key =",
        "key: value",
        "key == 1",
        "a.b c = 1",
        "= 1",
        "n = 010",
        "re = \"\\S+\"",
        "a = 1 b = 2",
        "a = 1\na = 2",
        "[a]\n[a]",
        "[[rule]",
        "[rule",
        "a = { b = 1 }\na.c = 2",
    ];
    let mut all = String::new();
    for text in texts {
        let told = said(text);
        assert!(!told.is_empty(), "{text}");
        all.push_str(&format!("{text:?}\n"));
        for one in told {
            all.push_str(&format!("  {one}\n"));
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_password_without_quotes_is_not_said() {
    for text in [
        "password = hunter2",
        "password = hunter2\"",
        "token = 3hunter2",
        "p = [hunter2]",
        "password = hunter2 'x",
    ] {
        let told = said(text);
        assert!(!told.is_empty() && told.iter().all(|one| !one.to_string().contains("hunter")), "{told:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_has_places_and_hints(text in "[ab1=\\[\\]{}\"',. \n\\\\#\r-]{0,60}") {
        for one in said(&text) {
            proptest::prop_assert!(one.place.is_some() && one.hint.is_some(), "{text:?}: {one}");
        }
    }
}
