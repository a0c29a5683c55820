use std::sync::Arc;

use crate::lookup::hosts::Hosts;
use crate::lookup::load::parse;
use crate::lookup::rows::tests::definition;
use crate::lookup::settings::Definition;
use crate::lookup::table::Table;
use crate::lookup::tables::{Known, Tables};
use crate::message::{Message, Source};
use crate::rules::compile::{Compiled, RuleFile, compile_with};
use crate::rules::{MatchResult, MessageContext, Scratch};
use crate::syslog::parse_line;
use crate::text::Charset;

fn known(name: &str, lines: &str, text: &str) -> Known {
    let defined = Definition { name: name.into(), ..definition(lines) };
    let table = (!text.is_empty()).then(|| Arc::new(parse(&defined, "f", text.as_bytes()).0.unwrap()));
    Known::new(Arc::new(defined), table)
}

fn tables() -> Arc<Tables> {
    let csv = "csv = \"f\"\nkey = \"key\"";
    Arc::new(Tables::new(vec![
        known(
            "site",
            &format!("{csv}\nmatch = \"cidr\""),
            "key,city,prio\n192.0.2.0/24,Wien,1\n192.0.2.7,Graz,2\n",
        ),
        known(
            "team",
            &format!("{csv}\nmatch = \"glob\""),
            "key,mail\ncore-*,net@example.org\n*,noc@example.org\n",
        ),
        known("later", "url = \"http://127.0.0.1:1/\"\nkey = \"key\"", ""),
    ]))
}

fn compiled(condition: &str, output: &str, tables: &Arc<Tables>) -> Compiled {
    let text = format!(
        "[[rule]]\nid = \"r\"\nsyslog = {{ message = '^x' }}\nwhere = \"\"\"{condition}\"\"\"\n\
         [rule.event]\nstate = \"ok\"\noutput = \"\"\"{output}\"\"\"\n"
    );
    let file = RuleFile { name: "t.toml".into(), text: text.into() };
    compile_with(&[file], Arc::default(), tables)
}

#[test]
fn calls_are_checked_when_rules_are_compiled() {
    let tables = tables();
    let found = |condition: &str| compiled(condition, "x", &tables).found.to_text();
    for right in [
        "lookup('site', source).city == 'Wien'",
        "lookup('site', source)",
        "lookup('site', source)['city']|upper == 'WIEN'",
        "lookup('site', source).prio|int > 1",
        "lookup('team', host).mail|replace('@', ' ') != ''",
        "lookup('later', host).whatever == 'x'",
        "lookup('team', lookup('site', source).city).mail is defined",
    ] {
        assert_eq!(found(right), "", "{right}");
    }
    for (wrong, message) in [
        (
            "lookup('sites', source).city",
            "t.toml:4:12: error: there is no table 'sites'; did you mean 'site'?",
        ),
        ("lookup('x', source).city", "there is no table 'x'; tables: site, team, later"),
        ("lookup('site', source).ctiy", "the table 'site' has no column 'ctiy'; did you mean 'city'?"),
        ("lookup('site', source).geo.x", "has no column 'geo.x'; its columns: key, city, prio"),
        ("lookup('site', source)['ctiy']|int > 1", "has no column 'ctiy'"),
        ("lookup('site').city", "'lookup' takes 2 arguments, not 1"),
        ("lookup(source, host).city", "the first argument of 'lookup' is the name of a table"),
        ("lookp('site', host).city", "unknown function 'lookp'; did you mean 'lookup'?"),
        ("lookup('site', hots).city", "unknown variable 'hots'"),
    ] {
        let found = found(wrong);
        assert!(found.contains(message), "{wrong}: {message} in {found}");
    }
    let none = compiled("lookup('site', host).city", "x", &Arc::default()).found.to_text();
    assert!(none.contains("there is no table 'site'; the configuration has no [[lookups]]"), "{none}");
}

/// The output for a line of a sender; none if the rule does not match.
fn output(compiled: &Compiled, from: &str, host: &str, tables: Option<&Arc<Tables>>) -> Option<String> {
    let source = Source { peer: format!("{from}:1").parse().unwrap(), received: 0 };
    let message = Message::Syslog(parse_line("<13>x", 0));
    let context = MessageContext {
        message: &message,
        source: &source,
        address: from,
        host,
        source_name: None,
        agent_believed: true,
        hosts: &Hosts::default(),
        charset: Charset::default(),
        tags: None,
        state: None,
        tables,
    };
    let mut made = None;
    let rules = compiled.rules.as_ref().unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
    let result = rules.apply(&context, &mut Scratch::default(), |_, outcome| {
        made = Some(outcome.common().output.to_string());
    });
    assert_eq!(result == MatchResult::Matched, made.is_some());
    made
}

#[test]
fn rules_use_the_version_that_a_message_comes_with() {
    let tables = tables();
    let native = "{{ lookup('site', source).city or '?' }} {{ lookup('team', host).mail }}";
    let engine = "{% set row = lookup('site', source) %}{{ row.city|default('?') }} {{ lookup('team', host).mail|string }}";
    for output_of in [native, engine] {
        let compiled = compiled("lookup('site', source)", output_of, &tables);
        assert_eq!(output(&compiled, "192.0.2.1", "core-1", None).as_deref(), Some("Wien net@example.org"));
        assert_eq!(output(&compiled, "192.0.2.7", "edge", None).as_deref(), Some("Graz noc@example.org"));
        assert_eq!(output(&compiled, "203.0.113.7", "edge", None), None);
        let mut other = Table::new(crate::lookup::table::How::Cidr, false);
        let city = other.add_column("city").unwrap();
        other.add("203.0.113.0/24", vec![(city, crate::lookup::table::Cell::Text("Linz".into()))]);
        let newer = Arc::new(tables.with(&tables.all()[0].definition, Arc::new(other)).unwrap());
        assert_eq!(
            output(&compiled, "203.0.113.7", "edge", Some(&newer)).as_deref(),
            Some("Linz noc@example.org")
        );
        assert_eq!(output(&compiled, "192.0.2.1", "edge", Some(&newer)), None);
        // A table that has no rows yet.
        let none =
            Arc::new(Tables::new(vec![known("site", "url = \"http://127.0.0.1:1/\"\nkey = \"key\"", "")]));
        assert_eq!(output(&compiled, "192.0.2.1", "edge", Some(&none)), None);
    }
    let compiled = compiled("lookup('later', host).a == 1", "x", &tables);
    assert_eq!(output(&compiled, "192.0.2.1", "edge", None), None);
    assert_eq!(compiled.rules.unwrap().needs(), [(2, "a".into())]);
}

/// A key that is a number is found by the number, however either is written, and by its text.
#[test]
fn numbers_are_keys() {
    let rows = r#"[{"id":18446744073709551615,"v":1},{"id":9223372036854775807,"v":2},{"id":5,"v":3},{"id":6.0,"v":4},{"id":1.5,"v":5},{"id":-7,"v":6},
        {"id":1e300,"v":7},{"id":"8","v":18446744073709551615}]"#;
    let toml = "[[row]]\nid = 5\nv = 3\n[[row]]\nid = 6.0\nv = 4\n[[row]]\nid = -7\nv = 6\n";
    let json = Arc::new(Tables::new(vec![known("t", "json = \"f\"\nkey = \"id\"", rows)]));
    let toml = Arc::new(Tables::new(vec![known("t", "toml = \"f\"\nitems = \"/row\"\nkey = \"id\"", toml)]));
    for (tables, key, found) in [
        (&json, "18446744073709551615", "1"),
        (&json, "'18446744073709551615'", "1"),
        (&json, "9223372036854775807", "2"),
        (&json, "5", "3"),
        (&json, "5.0", "3"),
        (&json, "'5'", "3"),
        (&json, "6", "4"),
        (&json, "6.0", "4"),
        (&json, "1.5", "5"),
        (&json, "-7", "6"),
        (&json, "1e300", "7"),
        (&json, "8", "18446744073709551615"),
        (&json, "9", ""),
        (&toml, "5.0", "3"),
        (&toml, "6", "4"),
        (&toml, "-7", "6"),
    ] {
        let native = format!("{{{{ lookup('t', {key}).v }}}}");
        let engine = format!("{{% set row = lookup('t', {key}) %}}{{{{ row.v }}}}");
        for template in [native, engine] {
            let compiled = compiled("true", &template, tables);
            assert_eq!(output(&compiled, "192.0.2.1", "h", None).as_deref(), Some(found), "{template}");
        }
    }
}

#[test]
fn a_text_of_a_sender_cannot_make_a_look_long() {
    let lines = "csv = \"f\"\nkey = \"key\"\nmatch = \"glob\"";
    let rows: String = (0..5000).map(|at| format!("{}{at}\n", "*a".repeat(50))).collect();
    let tables = Arc::new(Tables::new(vec![known("slow", lines, &format!("key\n{rows}"))]));
    for condition in
        ["lookup('slow', host) is undefined", "lookup('slow', host|replace('b', 'a')) is undefined"]
    {
        let compiled = compiled(condition, "x", &tables);
        assert_eq!(output(&compiled, "192.0.2.1", &"a".repeat(10_000), None), None);
        assert_eq!(
            compiled.rules.unwrap().rules()[0].over_budget.load(std::sync::atomic::Ordering::Relaxed),
            1
        );
    }
}
