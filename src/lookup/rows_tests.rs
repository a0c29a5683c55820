use super::*;
use crate::lookup::settings;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::{Section, read as read_toml};

/// The definition of a table, by the lines of its section.
pub(crate) fn definition(lines: &str) -> Definition {
    let text = format!("[[lookups]]\nname = \"t\"\n{lines}\n");
    let source = SourceText { file: "t.toml", text: &text };
    let mut found = Diagnostics::default();
    let root = read_toml(&source, &mut found).unwrap();
    let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
    let all = settings::read(&root, &|path| path.into(), &mut found);
    assert!(!found.has_errors(), "{}", found.to_text());
    std::sync::Arc::into_inner(all.into_iter().next().unwrap()).unwrap()
}

/// What is said of a text, and the value of a column for a key.
fn of(lines: &str, text: &str, key: &str, column: &str) -> (String, Option<String>) {
    let definition = definition(lines);
    let (table, found) = crate::lookup::load::parse(&definition, "f", text.as_bytes());
    let value = table.and_then(|table| {
        let row = table.find(key, &mut |_| true)?;
        Some(table.cell(row, column)?.text().into_owned())
    });
    (found.to_text(), value)
}

#[test]
fn values_of_every_form() {
    let csv = "csv = \"f\"\nkey = \"address\"";
    let toml = "toml = \"f\"\nkey = \"address\"";
    let json = "json = \"f\"\nkey = \"address\"";
    for (lines, text, column, expected) in [
        (csv, "address,city\n192.0.2.1,Wien\n", "city", Some("Wien")),
        (csv, "city,address\n\"Graz, Süd\",192.0.2.1\n", "city", Some("Graz, Süd")),
        (csv, "address,city\n192.0.2.1,\n", "city", None),
        (toml, "[\"192.0.2.1\"]\ncity = \"Wien\"\nfloor = 3\n", "floor", Some("3")),
        (toml, "[\"192.0.2.1\".rack]\nunit = 0x10\n", "rack.unit", Some("16")),
        (json, "[{\"address\": \"192.0.2.1\", \"site\": {\"name\": \"Wien\"}}]", "site.name", Some("Wien")),
        (json, "{\"192.0.2.1\": {\"tags\": [\"a\", 2, {}, null]}}", "tags", Some("a, 2")),
        (json, "[{\"address\": \"192.0.2.1\", \"up\": true, \"none\": null}]", "up", Some("true")),
        (json, "[{\"address\": \"192.0.2.1\", \"none\": null}]", "none", None),
        (json, "[{\"address\": \"192.0.2.1\", \"load\": 0.5}]", "load", Some("0.5")),
    ] {
        let (said, value) = of(lines, text, "192.0.2.1", column);
        assert_eq!((said.as_str(), value.as_deref()), ("", expected), "{text}");
    }
    let items = format!("{toml}\nitems = \"/row\"");
    let rows = "[[row]]\naddress = \"192.0.2.1\"\ncity = \"Wien\"\n";
    assert_eq!(of(&items, rows, "192.0.2.1", "city").1.as_deref(), Some("Wien"));
    let columns =
        format!("{json}\nitems = \"/a/b\"\n[lookups.columns]\naddress = \"/ip/0\"\ncity = \"/site/name\"");
    let text = "{\"a\": {\"b\": [{\"ip\": [\"192.0.2.1\"], \"site\": {\"name\": \"Wien\", \"id\": 7}}]}}";
    assert_eq!(of(&columns, text, "192.0.2.1", "city").1.as_deref(), Some("Wien"));
    assert_eq!(of(&columns, text, "192.0.2.1", "site.id").1, None, "what is not named is not kept");
    let nagios = "nagios_objects = \"f\"\nkey = \"host_name\"";
    let cache =
        "define hostgroup {\n\thostgroup_name\tall\n}\ndefine host {\n\thost_name\tsw1\n\t_CITY\tWien\n}\n";
    assert_eq!(of(nagios, cache, "sw1", "_CITY").1.as_deref(), Some("Wien"));
    let semicolons = format!("{csv}\nseparator = \";\"");
    assert_eq!(
        of(&semicolons, "address;city\n192.0.2.1;Wien\n", "192.0.2.1", "city").1.as_deref(),
        Some("Wien")
    );
}

#[test]
fn mistakes_have_their_place() {
    let csv = "csv = \"f\"\nkey = \"address\"";
    let cidr = "csv = \"f\"\nkey = \"address\"\nmatch = \"cidr\"";
    let toml = "toml = \"f\"\nkey = \"address\"";
    let json = "json = \"f\"\nkey = \"address\"";
    for (lines, text, words) in [
        (
            csv,
            "adress,city\n1,2\n",
            "f:1:1: error: there is no column 'address', which is the key; did you mean 'adress'?",
        ),
        (csv, "address,city\nsw1\n", "f:2:1: error: this row has 1 fields, and the heading has 2"),
        (csv, "address,city\nsw1,\"Wien\n", "f:2:5: error: this quote is not closed"),
        (csv, "address,address\nsw1,a\n", "f:1:1: error: the heading has the column 'address' twice"),
        (
            csv,
            "address,city\nsw1,a\nsw2,b\n sw1,c\n",
            "f:4:2: warning: the key 'sw1' comes again; its first row counts",
        ),
        (csv, "address,city\n,a\n,b\n", "f: error: none of its 2 rows has a 'address', which is the key"),
        (csv, "address,city\n", "f: warning: there are no rows in it"),
        (csv, "", "f: warning: there are no rows in it"),
        (cidr, "city,address\nWien,192.0.2.0/33\n", "f:2:6: error: '192.0.2.0/33' is no network"),
        (toml, "[a]\nx = 1\n[b\n", "f:3:"),
        (toml, "a = 1\n", "f:1:1: error: a row must be a table, not a value of the type integer"),
        (json, "[{\"address\": \"a\"},\n {\"address\": }]", "f:2:14: error: it is no JSON: expected value\n"),
        (json, "{\"a\": {}, \"b\": \"c\": 1}", "f:1:19: error: it is no JSON: expected `,` or `}`\n"),
        (json, "[{\"address\": \"a\"}, 7]", "f: error: item 1: a row must be an object"),
        (json, "7", "f:1:1: error: the rows are neither an array nor objects by their keys"),
    ] {
        let (said, _) = of(lines, text, "x", "x");
        assert!(said.starts_with(words), "{text}: {said}");
    }
    assert!(of(&format!("{json}\nitems = \"/rows\""), "{}", "x", "x").0.contains("it has no '/rows'"));
    let few = format!("{csv}\nmax = 2");
    let (said, _) = of(&few, "address\na\nb\nc\nd\n", "a", "address");
    assert_eq!(
        said,
        "f:4:1: error: the table has more than 2 rows; raise 'max' in [[lookups]], or ask for fewer\n"
    );
    let wide: Vec<String> = (0..1001).map(|at| format!("\"c{at}\": 1")).collect();
    let (said, _) = of(json, &format!("[{{\"address\": \"a\", {}}}]", wide.join(", ")), "a", "c1");
    assert!(said.contains("item 0: the table has more than 1000 columns"), "{said}");
    let repeated = format!("address\n{}", "a\n".repeat(30));
    let (said, _) = of(csv, &repeated, "a", "address");
    assert_eq!(said.lines().count(), 11, "{said}");
    assert!(said.contains("19 more keys come again"), "{said}");
    let (said, _) = of(csv, "address\n\u{7f}\n", "a", "address");
    assert_eq!(said, "");
    let (table, found) = crate::lookup::load::parse(&definition(csv), "f", b"address\n\xff\n");
    assert!(table.is_none() && found.to_text().starts_with("f: error: it is not UTF-8 at byte 8"));
}
