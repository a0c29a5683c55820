//! Rules that are valid and doubtful.

use super::compile::{RuleFile, compile};
use super::doubts::{ended_by_others, names, outside, types_as_programs, unreachable};
use super::tests::mib;
use crate::outcome::name::Name;
use crate::outcome::result::Outcome;

fn file(text: &str) -> Vec<RuleFile> {
    vec![RuleFile { name: "rules/x.toml".into(), text: text.into() }]
}

/// A rule of these lines that drops.
fn rule(id: &str, lines: &str) -> String {
    format!("[[rule]]\nid = \"{id}\"\ndrop = true\n{lines}\n")
}

const DOWN: &str = "trap = \"IF-MIB::linkDown\"";

/// The ids of the rules that can never match.
fn said(rules: &[(&str, &str)]) -> Vec<String> {
    let files = file(&rules.iter().map(|(id, lines)| rule(id, lines)).collect::<String>());
    let compiled = compile(&files, mib());
    let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
    let said = unreachable(&rules, &files).to_text();
    said.lines()
        .filter_map(|line| Some(line.split("rule '").nth(1)?.split('\'').next()?.to_owned()))
        .collect()
}

#[test]
fn rules_that_no_message_reaches() {
    let never: [&[(&str, &str)]; 15] = [
        &[("a", DOWN), ("x", DOWN)],
        &[("a", "trap = \"1.3.6.1.6.3.1.1.5.*\""), ("x", DOWN)],
        &[("a", "trap = \"*\""), ("x", "trap = \"1.3.6.1.6.3.1.1.5.*\"\nfrom = [\"10.0.0.0/8\"]")],
        &[
            ("a", DOWN),
            ("b", "trap = \"IF-MIB::linkUp\""),
            ("x", "trap = [\"IF-MIB::linkDown\", \"IF-MIB::linkUp\"]\nwhere = \"ifIndex == 1\""),
        ],
        &[
            ("a", "trap = \"*\"\nfrom = [\"10.0.0.0/8\", \"sw*\"]"),
            ("x", "trap = \"*\"\nfrom = [\"10.1.0.0/16\", \"sw*\"]"),
        ],
        &[("a", "trap = \"*\"\nwhere = \"uptime == 1\""), ("x", "trap = \"*\"\nwhere = \"uptime == 1\"")],
        &[("a", "trap = \"*\"\ntags = [\"s\", \"t\"]"), ("x", "trap = \"*\"\ntags = [\"t\"]")],
        &[("a", "syslog = {}"), ("x", "syslog = { program = \"sshd\", message = \"^a\" }")],
        &[
            ("a", "syslog = { program = [\"sshd\", \"su*\"] }"),
            ("x", "syslog = { program = \"su*\", severity = \"err\" }"),
        ],
        &[
            ("a", "syslog = { message = \"^a\" }"),
            ("x", "syslog = { message = \"^a\", facility = \"auth\" }"),
        ],
        &[("a", "syslog = { severity = [\"err\", \"crit\"] }"), ("x", "syslog = { severity = \"crit\" }")],
        &[
            ("a", "syslog = { tcp_wrappers = [\"refused\", \"error\"] }"),
            ("x", "syslog = { tcp_wrappers = \"error\" }"),
        ],
        // The same columns, groups and objects; in the second, by the template engine.
        &[
            ("a", "syslog = { body = \"csv\", columns = { 1 = \"t\" } }\nwhere = \"csv.t == 'S'\""),
            (
                "x",
                "syslog = { body = \"csv\", columns = { 1 = \"t\", 2 = \"u\" } }\nwhere = \"csv.t == 'S'\"",
            ),
        ],
        &[
            ("a", "syslog = { body = \"csv\", columns = { 1 = \"t\" } }\nwhere = \"csv.t|length > 3\""),
            ("x", "syslog = { body = \"csv\", columns = { 1 = \"t\" } }\nwhere = \"csv.t|length > 3\""),
        ],
        &[
            ("a", "syslog = { message = '(?<user>x.*)' }\nwhere = \"user == 'y'\""),
            ("x", "syslog = { message = '(?<user>x.*)', severity = \"err\" }\nwhere = \"user == 'y'\""),
        ],
    ];
    for rules in never {
        assert_eq!(said(rules), ["x"], "{rules:?}");
    }
    let reached: [&[(&str, &str)]; 12] = [
        &[("a", DOWN), ("b", "trap = \"1.3.6.1.6.3.1.1.5.*\"")],
        &[("a", DOWN), ("b", "trap = [\"IF-MIB::linkDown\", \"IF-MIB::linkUp\"]")],
        &[("a", "trap = \"*\"\nfrom = [\"10.1.0.0/16\"]"), ("b", "trap = \"*\"\nfrom = [\"10.0.0.0/8\"]")],
        &[("a", "trap = \"*\"\nfrom = [\"10.1.0.0/16\"]"), ("b", "trap = \"*\"")],
        &[("a", "trap = \"*\"\nwhere = \"uptime == 1\""), ("b", "trap = \"*\"")],
        &[("a", "trap = \"*\""), ("b", "syslog = {}")],
        &[("a", "trap = \"*\"\ntags = [\"s\"]"), ("b", "trap = \"*\"\ntags = [\"t\"]")],
        &[("a", "syslog = { program = \"sshd\" }"), ("b", "syslog = { program = [\"sshd\", \"su\"] }")],
        &[("a", "syslog = { severity = \"crit\" }"), ("b", "syslog = {}")],
        // One text about different columns, by itself and by the template engine; a group and a field.
        &[
            ("a", "syslog = { body = \"csv\", columns = { 1 = \"t\" } }\nwhere = \"csv.t == 'S'\""),
            ("b", "syslog = { body = \"csv\", columns = { 2 = \"t\" } }\nwhere = \"csv.t == 'S'\""),
        ],
        &[
            ("a", "syslog = { body = \"csv\", columns = { 1 = \"t\" } }\nwhere = \"csv.t|length > 3\""),
            ("b", "syslog = { body = \"csv\", columns = { 2 = \"t\" } }\nwhere = \"csv.t|length > 3\""),
        ],
        &[
            ("a", "syslog = {}\nwhere = \"user == 'y'\""),
            ("b", "syslog = { message = '(?<user>x.*)' }\nwhere = \"user == 'y'\""),
        ],
    ];
    for rules in reached {
        assert!(said(rules).is_empty(), "{rules:?}");
    }
    let continues = format!(
        "[[rule]]\nid = \"a\"\n{DOWN}\ncontinue = true\n[rule.check]\nstate = \"up\"\n{}",
        rule("b", DOWN)
    );
    let files = file(&continues);
    assert!(unreachable(&compile(&files, mib()).rules.unwrap(), &files).is_empty());
}

const DOUBTFUL: &str = r#"
[[rule]]
id = "wide"
trap = "1.3.6.1.6.3.1.1.5.*"
drop = true

[[rule]]
id = "narrow"
trap = "IF-MIB::linkDown"
where = "ifOperStatus == 'dwn' or ifAdminStatus in ['up', 'testing', 'off'] or raw['ifOperStatus'] == '2' or ifOperStatus != '7'"
[rule.check]
service = "Interface; {{ ifDescr }}"
state = "critical"

[[rule]]
id = "lines"
syslog = { program = "sshd" }
from = ["192.0.2.0/24", "198.51.100.7"]
[rule.check]
host = "a|b"
service = "Login; shell"
state = "warning"
[rule.event]
component = "c|d"
resource = "e;f"
state = "warning"
"#;

#[test]
fn doubts_have_their_place_and_a_hint() {
    let files = file(DOUBTFUL);
    let compiled = compile(&files, mib());
    let mut found = compiled.found.clone();
    let rules = compiled.rules.unwrap_or_else(|| panic!("{}", found.to_text()));
    found.extend(unreachable(&rules, &files));
    found.extend(outside(&rules, Some(&["192.0.0.0/8".parse().unwrap()]), &files));
    found.extend(names(&rules, &compiled.places, |record| {
        let refused = |name: &Name<'_>| name.contains([';', '|']);
        let refused = match &record.outcome {
            Outcome::CheckResult(check) => {
                refused(&check.host) || check.service.as_ref().is_some_and(refused)
            }
            Outcome::Event(event) => {
                refused(&event.component) || event.resource.as_ref().is_some_and(refused)
            }
        };
        refused.then(|| ("nagios".to_owned(), "it has ';' or '|'".to_owned()))
    }));
    insta::assert_snapshot!(found.to_text());
    assert!(outside(&rules, None, &files).is_empty() && outside(&rules, Some(&[]), &files).is_empty());
}

#[test]
fn types_of_messages_are_no_programs() {
    for (program, is_type) in [("%LINK-3-*", true), ("#DOT1X-4-*", true), ("LINK", false), ("*", false)] {
        let files = file(&rule("x", &format!("syslog = {{ program = \"{program}\" }}")));
        let rules = compile(&files, mib()).rules.unwrap();
        let said = types_as_programs(&rules, &files).to_text();
        assert_eq!(said.contains(&format!("msgid = \"{program}\"")), is_type, "{program}: {said}");
        assert_eq!(said.is_empty(), !is_type);
    }
}

#[test]
fn problems_without_state_that_others_end() {
    let one = |id: &str, keys: &str, service: &str, state: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nsyslog = {{ message = \"^{id}\" }}\n{keys}\n[rule.check]\n\
             service = \"{service}\"\nstate = \"{state}\"\n"
        )
    };
    let recovers = "threshold = { count = 5, within = \"1m\", recover = \"10m\" }";
    for (ending, other, is_doubtful) in [
        (recovers, ("", "Logins", "critical"), true),
        (recovers, ("", "Logins", "'ok' if severity == 6 else 'critical'"), true),
        ("expire = { after = \"1h\", state = \"ok\" }", ("", "Logins", "warning"), true),
        ("expire = { after = \"1h\", state = \"unknown\" }", ("", "Logins", "warning"), false),
        ("threshold = { count = 5, within = \"1m\" }", ("", "Logins", "critical"), false),
        (recovers, ("", "Logins", "ok"), false),
        (recovers, ("", "Other logins", "critical"), false),
        (recovers, ("key = \"{{ host }}\"", "Logins", "critical"), false),
    ] {
        let text = [one("guessed", ending, "Logins", "warning"), one("denied", other.0, other.1, other.2)];
        let files = file(&text.concat());
        let compiled = compile(&files, mib());
        let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
        let said = ended_by_others(&rules, &files, false).to_text();
        assert_eq!(said.contains("rule 'denied' keeps no state"), is_doubtful, "{ending} {other:?}: {said}");
        assert_eq!(said.is_empty(), !is_doubtful);
    }
}

#[test]
fn no_shipped_rule_ends_problems_of_another_one() {
    let packs = "security cisco-syslog fortinet-syslog hpe-syslog huawei-syslog juniper-syslog mikrotik-syslog paloalto-syslog";
    let packs = super::shipped::Packs::Only(packs.split(' ').map(str::to_owned).collect());
    let files = super::shipped::files(&packs);
    let rules = compile(&files, mib()).rules.unwrap();
    assert_eq!(ended_by_others(&rules, &files, true).to_text(), "");
}
