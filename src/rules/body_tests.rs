//! Rules over messages that have a form.

use crate::body::Form;
use crate::message::Message;
use crate::rules::shipped;
use crate::rules::tests::{Fixture, wrong};
use crate::syslog::parse_line;

/// What a template makes of a line, with a `syslog` condition.
fn rendered(condition: &str, template: &str, line: &str) -> Vec<String> {
    let text = format!(
        "[[rule]]\nid = \"r\"\nsyslog = {condition}\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\noutput = \'\'\'{template}\'\'\'\n"
    );
    let made = Fixture::new(&text).apply(&Message::Syslog(parse_line(line, 0))).1;
    made.iter().map(|made| made.strip_prefix("r: ok ").unwrap().to_owned()).collect()
}

const JSON: &str = r#"<13>Nov 20 12:00:01 h1 app: @cee: {"user":"ops","n":5,"ok":true,"none":null,"tags":["a","bc"],"o":{"k":1.5}}"#;

#[test]
fn templates_read_json() {
    for (template, text) in [
        (
            "{{ json.user }} {{ json.n }} {{ json.o.k }} {{ json.tags[1] }} {{ json['user'] }}",
            "ops 5 1.5 bc ops",
        ),
        ("{{ json.none }}{{ json.other }}{{ json.user.x }}|", "|"),
        ("{{ json.tags }} {{ json.o }}", r#"["a","bc"] {"k":1.5}"#),
        ("{% for t in json.tags %}<{{ t }}>{% endfor %} {{ json.tags }}", r#"<a><bc> ["a","bc"]"#),
        ("{{ json.tags|length }} {{ json.tags|join('+') }} {{ json.o|length }}", "2 a+bc 1"),
        ("{{ 'b' in json.tags }} {{ 'a' in json.tags }} {{ 'p' in json.user }}", "False True True"),
        (
            "{% for k in json %}{{ k }}={{ json[k] }} {% endfor %}",
            "user=ops n=5 ok=True none= tags=[\"a\",\"bc\"] o={\"k\":1.5} ",
        ),
        ("{{ json.n + 1 }} {{ json.n > 4 }} {{ json.ok == true }} {{ json.user|upper }}", "6 True True OPS"),
    ] {
        assert_eq!(rendered("{ body = \"json\" }", template, JSON), [text], "{template}");
    }
}

#[test]
fn templates_read_pairs_and_values() {
    let line = r#"<13>Nov 20 12:00:01 h1 app: user="ops" my-key=2"#;
    for (template, text) in [
        ("{{ kv.user }} {{ kv['my-key'] }} {{ kv.other or '-' }}", "ops 2 -"),
        ("{% for k in kv %}{{ k }}={{ kv[k] }};{% endfor %}", "user=ops;my-key=2;"),
        ("{{ kv.user|upper }} {{ kv['my-key']|number + 1 }}", "OPS 3"),
    ] {
        assert_eq!(rendered("{ body = \"kv\" }", template, line), [text], "{template}");
    }
    let line = "<14>Nov 20 12:00:01 PA-220 1,2026/11/20 12:00:01,0011,SYSTEM,general,0";
    let condition = "{ body = \"csv\", columns = { 4 = \"type\", 5 = \"sub\" } }";
    for (template, text) in [
        ("{{ csv.type }} {{ csv.sub }} {{ csv[3] }} {{ csv[99] }}", "SYSTEM general 0011 "),
        ("{% for v in csv %}{{ v }};{% endfor %}", "1;2026/11/20 12:00:01;0011;SYSTEM;general;0;"),
    ] {
        assert_eq!(rendered(condition, template, line), [text], "{template}");
    }
}

/// A message is read in the forms that a rule asks for, and in no other; not at all if no rule asks.
#[test]
fn no_form_is_read_unasked() {
    let read = |rules: &Fixture, line: &str| {
        let message = Message::Syslog(parse_line(line, 0));
        rules.apply(&message);
        let Message::Syslog(line) = &message else { panic!("no line") };
        Form::ALL.into_iter().filter(|kind| line.bodies.is_open(*kind)).collect::<Vec<_>>()
    };
    for (condition, line, forms) in [
        ("", JSON, vec![]),
        ("where = \"message == 'x'\"", JSON, vec![]),
        ("where = \"json.n == 5\"", JSON, vec![Form::Json]),
        ("where = \"kv.a == '1' and json.n == 5\"", JSON, vec![Form::Kv]),
        ("where = \"json.n == 5\"", "<13>Nov 20 12:00:01 h1 other: {\"n\":5}", vec![]),
    ] {
        let rules = Fixture::new(&format!(
            "[[rule]]\nid = \"r\"\nsyslog = {{ program = \"app\" }}\n{condition}\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\n"
        ));
        assert_eq!(read(&rules, line), forms, "{condition}");
    }
    let packs: String = shipped::PACKS.iter().map(|(_, text)| *text).collect();
    let rules = Fixture::new(&packs);
    let line = "<38>Nov 20 12:00:01 db1 sshd[99]: Failed password for root from 203.0.113.9 port 40122 ssh2";
    assert_eq!(read(&rules, line), []);
}

#[test]
fn the_form_is_a_condition() {
    let rules = Fixture::new(
        "[[rule]]\nid = \"a\"\nsyslog = { body = [\"cef\", \"leef\"] }\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\noutput = \"{{ cef.name or leef.eventID }}\"\n\
         [[rule]]\nid = \"b\"\nsyslog = { body = \"kv\" }\nwhere = \"kv.action == 'login' and kv.status == 'failed'\"\n[rule.check]\nservice = \"s\"\nstate = \"warning\"\noutput = \"{{ kv.user }}\"\n",
    );
    for (line, made) in [
        ("<13>Nov 20 12:00:01 h1 CEF:0|V|P|1|2|worm|5|a=b", "a: ok worm"),
        ("<13>Nov 20 12:00:01 h1 LEEF:1.0|V|P|1|E7|a=b", "a: ok E7"),
        (
            "<185>date=2026-11-20 time=12:00:01 devname=\"fw1\" action=\"login\" status=\"failed\" user=\"ops\"",
            "b: warning ops",
        ),
        ("<13>Nov 20 12:00:01 h1 app: user ops", ""),
        ("<13>Nov 20 12:00:01 h1 app: user=ops", ""),
    ] {
        let got = rules.apply(&Message::Syslog(parse_line(line, 0))).1;
        assert_eq!(got, made.split_terminator('\n').collect::<Vec<_>>(), "{line}");
    }
}

/// JSON does not tell 2.0 from 2, and neither do rules.
#[test]
fn a_whole_number_is_the_same_with_and_without_a_fraction() {
    let rules = Fixture::new(
        "[[rule]]\nid = \"r\"\nsyslog = { body = \"json\" }\n[rule.check]\nservice = \"s\"\nstate = \"json.state\"\n\
         output = \"{{ json.ts|strftime('%s') }} {% set t = json.ts %}{{ t|strftime('%s') }} {{ json.bits is any_bit(8) }} {{ json.n == 2 }}\"\n",
    );
    for (body, made) in [
        (r#"{"state":2,"ts":1700000000,"bits":8,"n":2}"#, "critical 1700000000 1700000000 True True"),
        (r#"{"state":2.0,"ts":1700000000.0,"bits":8.0,"n":2.0}"#, "critical 1700000000 1700000000 True True"),
        (
            r#"{"state":2e0,"ts":1700000000.5,"bits":8.5,"n":20e-1}"#,
            "critical 1700000000 1700000000 False True",
        ),
        (r#"{"state":2.5,"ts":-0.5,"bits":16.0,"n":2.5}"#, "unknown -1 -1 False False"),
        (r#"{"state":"2","ts":"1700000000.5","bits":"8","n":2}"#, "critical 1700000000 1700000000 True True"),
        (r#"{"state":true,"ts":0,"bits":null,"n":null}"#, "unknown 0 0 False False"),
    ] {
        let got =
            rules.apply(&Message::Syslog(parse_line(&format!("<13>Nov 20 12:00:01 h1 app: {body}"), 0))).1;
        assert_eq!(got, [format!("r: {made}")], "{body}");
    }
}

#[test]
fn mistakes_with_forms() {
    insta::assert_snapshot!(wrong(
        r#"
[[rule]]
id = "a"
syslog = { body = "jsno" }
where = "kv.a.b == 'x' and csv.typ == 'y' and csv[0] == 'z' and kv[1] == 'a'"
drop = true
[[rule]]
id = "b"
syslog = { body = "csv", columns = { 4 = "type", 0 = "a", x = "b", 5 = "type", 6 = 7, 999 = "c" } }
where = "csv.typ == 'SYSTEM' and json.a[-1] == 5"
drop = true
[[rule]]
id = "c"
syslog = { columns = { 4 = "type" } }
drop = true
"#
    ));
}
