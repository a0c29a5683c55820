//! Labels of outcomes.

use super::compile::{RuleFile, compile};
use super::tests::{mib, wrong};
use super::{schema, shipped, testing};
use crate::lookup::hosts::Hosts;
use crate::settings::diagnostic::{Diagnostics, SourceText};

#[test]
fn outcomes_have_the_labels_of_their_rule_and_of_its_file() {
    let text = r#"
[labels]
category = "power"
site = "{{ host }}"

[[rule]]
id = "a"
syslog = { program = "ups", message = '^(?<room>.*): (?<level>.*)$' }
[rule.labels]
severity = "{{ level }}"
category = "ups"
long = "{{ level|replace('x', 'éééééééééééééééé') }}"
[rule.check]
service = "UPS"
state = "critical"

[[rule.test]]
line = "<13>Nov 20 12:00:01 h ups: : minor"
expect = { "labels.severity" = "minor", "labels.category" = "ups", "labels.long" = "minor", state = "critical" }

[[rule.test]]
line = "<13>Nov 20 12:00:01 h ups: a: b\u0007\u2028c"
expect = { "labels.severity" = "b  c", "labels.site" = "h" }

[[rule.test]]
line = "<13>Nov 20 12:00:01 h ups: a: xxxxxxxxxxxxxxxx"
expect = { "labels.long" = "LONG" }

[[rule]]
id = "b"
syslog = { program = "fan" }
continue = true
[rule.event]
state = "ok"
[[rule.test]]
line = "<13>Nov 20 12:00:01 h fan: hi"
expect = { "labels.category" = "power" }
"#;
    let text = text.replace("LONG", &"é".repeat(128));
    let (report, found) = tested(&text);
    assert_eq!((report, found.as_str()), ((4, 0), ""));
}

#[test]
fn a_label_that_cannot_be_rendered_is_left_out_and_said() {
    let text = r#"
[[rule]]
id = "a"
syslog = { program = "ups" }
[rule.labels]
broken = "{{ message + 1 }}"
[rule.check]
state = "up"
[[rule.test]]
line = "<13>Nov 20 12:00:01 h ups: hi"
expect = { state = "up" }
"#;
    let (report, found) = tested(text);
    assert_eq!(report, (0, 1));
    assert!(found.contains("cannot render broken of rule 'a'"), "{found}");
}

/// How many tests of a rule file have passed and failed, and what was found.
fn tested(text: &str) -> ((usize, usize), String) {
    let file = RuleFile { name: "rules/x.toml".into(), text: text.into() };
    let compiled = compile(&[file], mib());
    assert_eq!(compiled.found.to_text(), "");
    let report = testing::run(&compiled.rules.unwrap(), &compiled.tests, &Hosts::default());
    ((report.passed, report.failed), report.found.to_text())
}

#[test]
fn shipped_rules_have_one_of_the_categories_of_the_documentation() {
    let page = include_str!("../../docs/packs.md");
    let (mut with, mut of_sort) = (0, std::collections::BTreeSet::new());
    for (name, text) in shipped::PACKS {
        let source = SourceText { file: name, text };
        for rule in schema::read(&source, &mut Diagnostics::default()) {
            let category = rule.labels.iter().find(|(name, _)| name.value == "category");
            let Some((_, category)) = category else { continue };
            let known = CATEGORIES.iter().find(|known| **known == category.value);
            of_sort.insert(known.unwrap_or_else(|| panic!("{}: {}", rule.id.value, category.value)));
            with += 1;
        }
    }
    assert!(with > 400, "{with}");
    assert_eq!(of_sort.len(), CATEGORIES.len());
    assert!(CATEGORIES.iter().all(|category| page.contains(&format!("`{category}`"))));
}

const CATEGORIES: [&str; 8] =
    ["network", "power", "environment", "hardware", "storage", "security", "system", "backup"];

#[test]
fn mistakes_in_labels_have_their_place() {
    let many: String = (0..16).map(|n| format!("n{n} = \"x\"\n")).collect();
    insta::assert_snapshot!(wrong(&format!(
        r#"
[labels]
a-b = "x"
site = "vienna"

[[rule]]
id = "a"
syslog = {{ program = "ups" }}
[rule.labels]
1st = "x"
team = 7
to_be_longer_than_what_syslog_has = "x"
power = "{{{{ ifDscr }}}}"
[rule.check]
state = "up"

[[rule]]
id = "b"
syslog = {{ program = "ups" }}
drop = true
labels = {{ team = "net" }}

[[rule]]
id = "c"
syslog = {{ program = "ups" }}
[rule.event]
state = "ok"
labels = "x"
[rule.labels]
{many}"#
    )));
}
