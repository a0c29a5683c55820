use super::*;
use crate::settings::diagnostic::SourceText;
use crate::settings::section;

/// What is said of a configuration.
fn said(text: &str) -> String {
    let source = SourceText { file: "t.toml", text };
    let mut found = Diagnostics::default();
    let root = section::read(&source, &mut found).unwrap();
    let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
    read(&root, &|path| path.into(), &mut found);
    root.finish(&mut found);
    found.to_text()
}

#[test]
fn mistakes_have_their_place_and_a_hint() {
    let table = |lines: &str| format!("[[lookups]]\nname = \"t\"\nkey = \"k\"\n{lines}\n");
    for (lines, words) in [
        ("", "t.toml:1:1: error: this table has no source; give one of csv"),
        ("csv = \"a\"\ntoml = \"b\"", "t.toml:1:1: error: this table has several sources: csv, toml"),
        (
            "csv = \"a\"\nmatch = \"glop\"",
            "t.toml:5:9: error: 'glop' is no way to match; did you mean 'glob'?",
        ),
        (
            "csv = \"a\"\nmtach = \"glob\"",
            "t.toml:5:1: error: unknown key 'mtach' in [[lookups]]; did you mean 'match'?",
        ),
        ("csv = \"a\"\nrefresh = \"8d\"", "t.toml:5:11: error: refresh must be 1s to 7d"),
        ("csv = \"a\"\nmax = 0", "t.toml:5:7: error: max must be 1 to 1000000"),
        ("csv = \"a\"\nseparator = \";;\"", "t.toml:5:13: error: this cannot stand between fields"),
        ("csv = \"a\"\nitems = \"/x\"", "t.toml:5:1: error: 'items' is for"),
        ("csv = \"a\"\ntoken = \"x\"", "t.toml:5:1: error: 'token' is for 'url'; remove it"),
        ("csv = \"a\"\ncolumns = { a = \"/b\" }", "t.toml:5:1: error: 'columns' is for JSON and TOML"),
        ("json = \"a\"\nitems = \"x\"", "t.toml:5:9: error: 'x' is no JSON pointer; write \"/x\""),
        ("json = \"a\"\ncolumns = { a = 1 }", "t.toml:5:13: error: the pointer of 'a' must be a string"),
        ("sqlite = \"a\"", "t.toml:1:1: error: this table has no 'query'; give the rows"),
        ("csv = \"a\"\nquery = \"SELECT 1\"", "t.toml:5:1: error: 'query' is for 'sqlite'; remove it"),
        (
            "sqlite = \"a\"\nquery = \"SELECT 1\"\ncolumns = { a = \"/b\" }",
            "t.toml:6:1: error: 'columns' is for JSON and TOML; the query names its columns",
        ),
        ("json = \"a\"\nseparator = \",\"", "t.toml:5:1: error: 'separator' is for 'csv'"),
        ("url = \"ftp://h\"", "t.toml:4:7: error: 'ftp://h' does not begin with http:// or https://"),
        ("url = \"http://u:p@h/\"", "a URL with a password in it shows in logs"),
        (
            "url = \"http://127.0.0.1/\"\nuser = \"u\"",
            "t.toml:1:1: error: 'user' and 'password' belong together",
        ),
        (
            "url = \"http://127.0.0.1/\"\nuser = \"u\"\npassword = \"p\"\ntoken = \"t\"",
            "there are a password and a token",
        ),
        (
            "url = \"http://127.0.0.1/\"\ntoken_as = \"X-T:\"",
            "t.toml:5:1: error: there is no token; add token_file",
        ),
        (
            "url = \"http://127.0.0.1/\"\ntoken = \"t\"\ntoken_as = \"X-T\"",
            "t.toml:6:12: error: this is no header",
        ),
        ("url = \"http://192.0.2.1/\"\ntoken = \"t\"", "t.toml:4:1: warning: the login is sent over http://"),
        (
            "url = \"http://127.0.0.1/\"\nca_file = \"x\"",
            "t.toml:4:1: error: there is no TLS with an http:// url",
        ),
        (
            "url = \"https://h/\"\nfingerprint = \"12\"",
            "t.toml:5:15: error: 'fingerprint' must be the SHA-256",
        ),
        ("url = \"https://h/\"\ncert_file = \"x\"", "'cert_file' and 'key_file' belong together"),
        ("url = \"https://h/\"\nca_file = \"/nowhere\"", "cannot read certificates in /nowhere"),
        (
            "url = \"http://127.0.0.1/\"\nheaders = { \"a b\" = \"c\" }",
            "t.toml:5:13: error: 'a b' is no name of a header",
        ),
    ] {
        let found = said(&table(lines));
        assert!(found.contains(words), "{lines}: {found}");
    }
    for (text, words) in [
        ("[[lookups]]\ncsv = \"a\"\nkey = \"k\"\n", "this table has no 'name'; rules use it by its name"),
        (
            "[[lookups]]\nname = \"a/b\"\ncsv = \"a\"\nkey = \"k\"\n",
            "t.toml:2:8: error: 'a/b' cannot be the name of a table",
        ),
        (
            "[[lookups]]\nname = \"a\"\ncsv = \"a\"\n",
            "this table has no 'key'; name the column that is looked for",
        ),
        ("[lookups]\nname = \"a\"\n", "write [[lookups]], with two brackets"),
    ] {
        assert!(said(text).contains(words), "{text}: {}", said(text));
    }
    let two = table("csv = \"a\"").repeat(2);
    assert!(said(&two).contains("t.toml:5:1: error: there is another table 't'"), "{}", said(&two));
    let many: String = (0..=MOST_TABLES)
        .map(|at| format!("[[lookups]]\nname = \"t{at}\"\nkey = \"k\"\ncsv = \"a\"\n"))
        .collect();
    assert!(said(&many).contains("there are more than 100 tables"));
}

#[test]
fn secrets_count_for_the_digest_and_are_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let text = format!(
        "[[lookups]]\nname = \"t\"\nkey = \"k\"\nurl = \"http://127.0.0.1/\"\ntoken_file = \"{}\"\n",
        token.display()
    );
    let read = |secret: &str| {
        std::fs::write(&token, secret).unwrap();
        let source = SourceText { file: "t.toml", text: &text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
        read(&root, &|path| path.into(), &mut found).pop().unwrap()
    };
    let (old, new) = (read("s3cret-1"), read("s3cret-2"));
    assert_ne!(old.digest, new.digest);
    assert_eq!(old.digest, read("s3cret-1").digest);
    assert!(!format!("{old:?}").contains("s3cret"));
}
