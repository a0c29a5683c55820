use std::sync::Arc;

use proptest::prelude::*;

use super::compile::{Compiled, RuleFile, RuleTest, compile};
use super::test_schema::TestKind;
use super::{MatchResult, MessageContext, RuleSet, Scratch, shipped, testing};
use crate::lookup::hosts::Hosts;
use crate::message::{Message, Notification, NotificationKind, Oid, Source, Value, Varbind, Version};
use crate::mib::Mib;

pub(super) fn mib() -> Arc<Mib> {
    crate::mib::load::shipped_once()
}

fn file(text: &str) -> RuleFile {
    RuleFile { name: "rules/x.toml".into(), text: text.into() }
}

pub(super) fn compiled(text: &str) -> Compiled {
    compile(&[file(text)], mib())
}

pub(super) fn wrong(text: &str) -> String {
    let compiled = compiled(text);
    assert!(compiled.rules.is_none());
    compiled.found.to_text()
}

#[test]
fn the_shipped_packs_are_right_and_every_rule_has_a_test() {
    let files: Vec<_> = shipped::PACKS
        .iter()
        .map(|(name, text)| RuleFile { name: (*name).into(), text: (*text).into() })
        .collect();
    let compiled = compile(&files, mib());
    assert_eq!(compiled.found.to_text(), "");
    let rules = compiled.rules.unwrap();
    for (at, rule) in rules.rules().iter().enumerate() {
        assert!(compiled.tests.iter().any(|t| t.rule == at), "rule '{}' has no test", rule.id);
    }
    let report = testing::run(&rules, &compiled.tests, &Hosts::default());
    assert_eq!(report.found.to_text(), "");
    // Those with steps are run by `correlate::steps`; `trapline test` runs both.
    let of_one_message = |test: &&RuleTest| matches!(test.text.kind, TestKind::Message { .. });
    assert_eq!((report.passed, report.failed), (compiled.tests.iter().filter(of_one_message).count(), 0));
    let on_disk = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules")).unwrap().count();
    assert_eq!(on_disk, shipped::PACKS.len(), "src/rules/shipped.rs lists all packs");
}

#[test]
fn facilities_and_severities_are_names_or_numbers() {
    for (severity, matches) in [("4", true), ("[3, 'warning']", true), ("'err'", false), ("3", false)] {
        let rules = Fixture::new(&format!(
            "[[rule]]\nid = \"a\"\nsyslog = {{ severity = {severity}, facility = 4 }}\ndrop = true\n"
        ));
        let line = Message::Syslog(crate::syslog::parse_line("<36>Nov 20 12:00:01 h app[1]: hi", 0));
        assert_eq!(rules.apply(&line).0 == MatchResult::Dropped, matches, "{severity}");
    }
}

#[test]
fn a_field_that_cannot_be_rendered_has_a_safe_value() {
    let fixture = Fixture::new(
        r#"
[[rule]]
id = "broken"
trap = "*"
[rule.check]
host = "{{ ifAlias + 1 }}"
service = "I {{ ifAlias + 1 }}"
state = "'ok' if ifAlias + 1 > 0 else 'critical'"
output = "{{ ifAlias + 1 }}"
perfdata = "a={{ ifAlias + 1 }}"
[rule.event]
component = "{{ ifAlias + 1 }}"
resource = "{{ ifAlias + 1 }}"
state = "ok"
mine = "{{ ifAlias + 1 }}"
other = "{{ ifIndex + 1 }}"
"#,
    );
    let message = trap("1.3.6.1.6.3.1.1.5.3", interface(2));
    let source = Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 };
    let hosts = Hosts::default();
    let mut scratch = Scratch::default();
    let mut made = String::new();
    fixture.rules.apply(&subject(&message, &source, &hosts), &mut scratch, |_, outcome| {
        made += &format!("{outcome:#?}\n");
    });
    let fields: Vec<&str> = scratch.failures().iter().map(|failure| failure.field.as_str()).collect();
    assert_eq!(fields, ["state", "output", "perfdata", "host", "service", "component", "resource", "mine"]);
    insta::assert_snapshot!(made);
}

#[test]
fn senders_by_address_and_by_every_name() {
    let map = [("192.0.2.1", "router1"), ("192.0.2.9", "agent9")];
    let mut hosts = Hosts::default();
    for (address, name) in map {
        hosts.insert(address, name);
    }
    let source = Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 };
    let line = Message::Syslog(crate::syslog::parse_line("<36>Nov 20 12:00:01 db1 app[1]: hi", 0));
    let mut v1 = trap("1.3.6.1.6.3.1.1.5.3", vec![]);
    if let Message::Notification(notification) = &mut v1 {
        notification.agent = Some([192, 0, 2, 9].into());
    }
    for (message, host, from, matches) in [
        (&line, "db1", "router*", true),
        (&line, "db1", "db1", true),
        (&line, "db1", "192.0.2.0/24", true),
        (&line, "db1", "core*", false),
        (&v1, "agent9", "router1", true),
        (&v1, "x", "agent9", true),
        (&v1, "x", "192.0.2.9", true),
        (&v1, "x", "192.0.2.8", false),
    ] {
        let matcher = if std::ptr::eq(message, &raw const line) { "syslog = {}" } else { "trap = \"*\"" };
        let rules =
            Fixture::new(&format!("[[rule]]\nid = \"a\"\n{matcher}\nfrom = \"{from}\"\ndrop = true\n"));
        let believed = MessageContext { host, ..subject(message, &source, &hosts) };
        let takes = |context: &MessageContext<'_>| {
            rules.rules.apply(context, &mut Scratch::default(), |_, _| {}) == MatchResult::Dropped
        };
        assert_eq!(takes(&believed), matches, "{from}");
        // An agent for which the sender may not speak opens no rule.
        let refused = MessageContext { agent_believed: false, ..believed };
        assert_eq!(takes(&refused), matches && !from.ends_with('9'), "{from}");
    }
}

/// Tests build the packet of their notification, so a rule sees what a v1 agent sends.
#[test]
fn tests_of_version_1_have_its_fields() {
    let text = r#"
[[rule]]
id = "v1"
trap = "1.3.6.1.4.1.9.9.43.2.*"
where = "specific == 7 and generic == 6 and enterprise_oid == '1.3.6.1.4.1.9.9.43.2'"
[rule.check]
service = "{{ agent }} {{ version }} {{ v|length }}"
state = "ok"
[[rule.test]]
trap = "1.3.6.1.4.1.9.9.43.2.0.7"
version = "1"
agent = "192.0.2.9"
varbinds = { "1.3.6.1.4.1.9.9.43.3" = 1 }
expect = { service = "192.0.2.9 1 1" }
[[rule]]
id = "v2"
trap = "*"
where = "generic is undefined"
[rule.check]
service = "{{ agent }} {{ version }}"
state = "ok"
[[rule.test]]
trap = "1.3.6.1.4.1.9.9.43.2.0.7"
agent = "192.0.2.9"
expect = { service = "192.0.2.9 2c" }
"#;
    let compiled = compiled(text);
    assert_eq!(compiled.found.to_text(), "");
    let report = testing::run(compiled.rules.as_ref().unwrap(), &compiled.tests, &Hosts::default());
    assert_eq!(report.found.to_text(), "");
}

pub(super) struct Fixture {
    rules: RuleSet,
}

impl Fixture {
    pub(super) fn new(text: &str) -> Self {
        let compiled = compiled(text);
        assert_eq!(compiled.found.to_text(), "");
        Fixture { rules: compiled.rules.unwrap() }
    }

    pub(super) fn apply(&self, message: &Message<'_>) -> (MatchResult, Vec<String>) {
        let source = Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 };
        let hosts = Hosts::default();
        let subject = subject(message, &source, &hosts);
        let mut made = Vec::new();
        let verdict = self.rules.apply(&subject, &mut Scratch::default(), |rule, outcome| {
            made.push(format!(
                "{}: {} {}",
                rule.id,
                outcome.common().state.as_str(),
                outcome.common().output
            ));
        });
        (verdict, made)
    }
}

/// The outputs of what rules make of a message.
pub(super) fn outputs(rules: &RuleSet, message: &Message<'_>) -> String {
    let source = Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 };
    let hosts = Hosts::default();
    let mut made = Vec::new();
    rules.apply(&subject(message, &source, &hosts), &mut Scratch::default(), |_, outcome| {
        made.push(outcome.common().output.to_string());
    });
    made.join("\n")
}

pub(super) fn trap<'a>(oid: &str, varbinds: Vec<Varbind<'a>>) -> Message<'a> {
    Message::Notification(Notification {
        version: Version::V2c,
        kind: NotificationKind::Trap,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id: 0,
        oid: oid.parse().unwrap(),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(100),
        varbinds,
    })
}

pub(super) fn interface(status: i32) -> Vec<Varbind<'static>> {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    vec![
        Varbind { oid: oid("1.3.6.1.2.1.2.2.1.1.3"), value: Value::Integer(3) },
        Varbind { oid: oid("1.3.6.1.2.1.2.2.1.8.3"), value: Value::Integer(status) },
        Varbind { oid: oid("1.3.6.1.2.1.2.2.1.2.3"), value: Value::OctetString(b"Gi0/3") },
    ]
}

#[test]
fn order_continue_and_drop() {
    let rules = Fixture::new(
        r#"
[[rule]]
id = "first"
trap = "1.3.6.1.6.3.1.1.5.*"
continue = true
[rule.check]
service = "s"
state = "warning"
output = "seen"
[[rule]]
id = "noise"
trap = "IF-MIB::linkDown"
where = "ifOperStatus == 7"
drop = true
[[rule]]
id = "second"
trap = ["IF-MIB::linkDown", "IF-MIB::linkUp"]
[rule.check]
service = "s"
state = "ok"
output = "{{ ifOperStatus }}"
[[rule]]
id = "third"
trap = "*"
[rule.check]
service = "s"
state = "unknown"
output = "rest"
"#,
    );
    let down = "1.3.6.1.6.3.1.1.5.3";
    assert_eq!(
        rules.apply(&trap(down, interface(2))),
        (MatchResult::Matched, vec!["first: warning seen".into(), "second: ok down".into()])
    );
    assert_eq!(
        rules.apply(&trap(down, interface(7))),
        (MatchResult::Matched, vec!["first: warning seen".into()])
    );
    assert_eq!(rules.apply(&trap("1.3.6.1.4.1.5.0.1", vec![])).1, ["third: unknown rest"]);
    let line = Message::Syslog(crate::syslog::parse_line("<13>Nov 20 12:00:01 h app[1]: hi", 0));
    assert_eq!(rules.apply(&line), (MatchResult::Unmatched, vec![]));
}

#[test]
fn enumerations_compare_by_name_and_number_in_both_evaluators() {
    let rules = Fixture::new(
        r#"
[[rule]]
id = "native"
trap = "*"
where = "ifOperStatus == 2 and ifOperStatus == 'down' and ifOperStatus != 1 and ifOperStatus in [2, 3] and 1 < ifOperStatus <= 2"
continue = true
[rule.check]
service = "s"
state = "ok"
output = "{{ ifOperStatus }} {{ raw.ifOperStatus }} {{ v[2] }} {{ v['ifOperStatus.3'] }} {{ v['1.3.6.1.2.1.2.2.1.8.3'] }} {{ v[9]|default('-') }}"
[[rule]]
id = "engine"
trap = "*"
where = "(ifOperStatus == 2 and ifOperStatus in [2, 3] and 1 < ifOperStatus <= 2 and ifDescr|length == 5)"
[rule.check]
service = "s"
state = "'warning' if ifOperStatus == 2 and ifDescr|length > 1 else 'ok'"
output = "{% for x in [1, 2] %}{{ v[x] }},{% endfor %}{{ raw.ifOperStatus }} {{ v['ifDescr.3'] }}"
"#,
    );
    assert_eq!(
        rules.apply(&trap("1.3.6.1.6.3.1.1.5.3", interface(2))).1,
        ["native: ok down 2 down down down -", "engine: warning 3,down,2 Gi0/3"]
    );
}

#[test]
fn explanations() {
    let rules = Fixture::new(
        r#"
[[rule]]
id = "elsewhere"
trap = "IF-MIB::linkDown"
from = ["198.51.100.0/24", "core-*"]
drop = true
[[rule]]
id = "up-only"
trap = "IF-MIB::linkDown"
where = "ifOperStatus == 'up' and host != 'x'"
drop = true
[[rule]]
id = "other"
trap = "IF-MIB::linkUp"
drop = true
[[rule]]
id = "takes-it"
trap = "IF-MIB::linkDown"
drop = true
[[rule]]
id = "late"
trap = "*"
drop = true
[[rule]]
id = "line"
syslog = { program = "sshd" }
drop = true
"#,
    );
    let source = Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 };
    let message = trap("1.3.6.1.6.3.1.1.5.3", interface(2));
    let hosts = Hosts::default();
    let subject = subject(&message, &source, &hosts);
    let explanation = rules.rules.explain(&subject);
    assert_eq!(explanation.matched.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["takes-it"]);
    let rejected: String = explanation.rejected.iter().map(|(r, why)| format!("{}: {why}\n", r.id)).collect();
    insta::assert_snapshot!(rejected, @r"
    elsewhere: neither sender 192.0.2.1 nor host 'router1' matches its from
    up-only: where is false: ifOperStatus == 'up' and host != 'x' (host is 'router1', ifOperStatus is 'down')
    other: rule wants IF-MIB::linkUp; message is IF-MIB::linkDown
    late: rule 'takes-it' matches first, without continue = true
    ");
}

#[test]
fn indexes_out_of_instances() {
    for (expression, expected) in [
        ("index.ifIndex", "3"),
        ("index['IF-MIB::ifIndex'] + 1", "4"),
        ("'yes' if index.ifIndex == 3 else 'no'", "yes"),
        ("index.ospfNbrIpAddr", ""),
    ] {
        let rules = Fixture::new(&format!(
            "[[rule]]\nid = \"i\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{{{ {expression} }}}}\"\n"
        ));
        // Without a varbind ifIndex of its own.
        let (_, made) = rules.apply(&trap("1.3.6.1.6.3.1.1.5.3", interface(2)[1..].to_vec()));
        assert_eq!(made, [format!("i: ok {expected}")], "{expression}");
    }
    assert!(wrong("[[rule]]\nid = \"i\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{ index.ifIndx }}\"\n").contains("did you mean 'ifIndex'"));
}

#[test]
fn ambiguous_names() {
    let folder = tempfile::tempdir().unwrap();
    for (module, arc) in [("ONE-MIB", 1), ("TWO-MIB", 2)] {
        let text = format!(
            "{module} DEFINITIONS ::= BEGIN\nIMPORTS enterprises, Integer32, MODULE-IDENTITY, NOTIFICATION-TYPE, OBJECT-TYPE FROM SNMPv2-SMI;\n\
             top{arc} MODULE-IDENTITY LAST-UPDATED \"202611200000Z\" ORGANIZATION \"x\" CONTACT-INFO \"x\" DESCRIPTION \"x\"\n\
             ::= {{ enterprises 9999{arc} }}\n\
             fanFailed NOTIFICATION-TYPE STATUS current DESCRIPTION \"x\" ::= {{ top{arc} 0 1 }}\n\
             fanSpeed OBJECT-TYPE SYNTAX Integer32 MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= {{ top{arc} 2 }}\nEND\n"
        );
        std::fs::write(folder.path().join(format!("{module}.txt")), text).unwrap();
    }
    let mib = Arc::new(crate::mib::load::load(&[folder.path().to_owned()]).mib);
    let found = |name: &str| {
        let text = format!("[[rule]]\nid = \"a\"\ntrap = \"{name}\"\ndrop = true\n");
        compile(&[file(&text)], mib.clone()).found.to_text()
    };
    assert_eq!(
        found("fanFailed"),
        "rules/x.toml:3:8: error: 'fanFailed' is ambiguous: ONE-MIB::fanFailed (1.3.6.1.4.1.99991.0.1), \
         TWO-MIB::fanFailed (1.3.6.1.4.1.99992.0.1); write MODULE::name for the one that you mean\n"
    );
    assert_eq!(found("TWO-MIB::fanFailed"), "");
    // Of objects the trap decides.
    let text = "[[rule]]\nid = \"a\"\ntrap = \"ONE-MIB::fanFailed\"\nwhere = \"fanSpeed > 3\"\n[rule.check]\nservice = \"{{ fanSpeed }} {{ v['ONE-MIB::fanSpeed'] }}\"\n\
                state = \"ok\"\n[[rule.test]]\ntrap = \"ONE-MIB::fanFailed\"\nvarbinds = { \"fanSpeed.0\" = 4 }\nexpect = { service = \"4 4\" }\n";
    let compiled = compile(&[file(text)], mib.clone());
    assert_eq!(compiled.found.to_text(), "");
    let report = testing::run(&compiled.rules.unwrap(), &compiled.tests, &Hosts::default());
    assert_eq!(report.found.to_text(), "");
    // Where it does not, what is taken is said, and never guessed where only one can be meant.
    let text = text
        .replace("trap = \"ONE-MIB::fanFailed\"\nwhere", "trap = \"*\"\nwhere")
        .replace("{{ fanSpeed }}", "{{ index.fanSpeed }}");
    insta::assert_snapshot!(compile(&[file(&text)], mib.clone()).found.to_text());
    let text = text
        .replace("{{ index.fanSpeed }} ", "")
        .replace("trap = \"ONE-MIB::fanFailed\"\nvarbinds", "trap = \"1.3.6.1.4.1.7\"\nvarbinds");
    let compiled = compile(&[file(&text)], mib);
    let report = testing::run(&compiled.rules.unwrap(), &compiled.tests, &Hosts::default());
    insta::assert_snapshot!(report.found.to_text());
}

#[test]
fn a_failing_test_says_where_and_why() {
    let text = r#"
[[rule]]
id = "down"
trap = "IF-MIB::linkDown"
where = "ifOperStatus == 'down'"
[rule.check]
service = "Interface {{ ifDescr }}"
state = "critical"
[[rule.test]]
trap = "IF-MIB::linkDown"
varbinds = { "ifDescr.3" = "Gi0/3", "ifOperStatus.3" = "down" }
expect = { service = "Interface Gi0/4", state = "critical" }
[[rule.test]]
trap = "IF-MIB::linkDown"
varbinds = { "ifOperStatus.3" = "up" }
expect = { state = "critical" }
[[rule.test]]
trap = "IF-MIB::linkDown"
varbinds = { "ifOprStatus.3" = "up" }
expect = { state = "critical" }
"#;
    let compiled = compiled(text);
    let report = testing::run(compiled.rules.as_ref().unwrap(), &compiled.tests, &Hosts::default());
    assert_eq!((report.passed, report.failed), (0, 3));
    insta::assert_snapshot!(report.found.to_text());
}

/// A message of the host router1.
pub(super) fn subject<'m>(
    message: &'m Message<'m>,
    source: &'m Source,
    hosts: &'m Hosts,
) -> MessageContext<'m> {
    let source_name = hosts.of_address(source.address());
    MessageContext {
        message,
        source,
        address: "192.0.2.1",
        host: "router1",
        source_name,
        agent_believed: true,
        charset: crate::text::Charset::default(),
        hosts,
        tags: None,
        state: None,
        tables: None,
    }
}

proptest! {
    #[test]
    fn any_rule_file_is_safe(text in "(\\[\\[rule\\]\\]\n|id = \"a\"\n|trap = \"[*.a-z0-9]{0,9}\"\n|where = \".{0,12}\"\n|\\[rule.check\\]\nstate = \".{0,9}\"\n|output = '.{0,20}'\n){0,8}") {
        let _ = compiled(&text);
    }
}

/// Users' folders hold the full modules of which `mibs/` has parts; the packs must be right with both.
#[test]
fn the_shipped_packs_are_right_with_the_full_modules() {
    let corpus = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/mibs"));
    if !corpus.exists() {
        println!("no corpus beside this checkout");
        return;
    }
    let files: Vec<_> = shipped::PACKS
        .iter()
        .map(|(name, text)| RuleFile { name: (*name).into(), text: (*text).into() })
        .collect();
    let loaded = crate::mib::load::load(&[corpus.to_owned()]);
    assert!(!loaded.found.has_errors());
    let compiled = compile(&files, Arc::new(loaded.mib));
    assert_eq!(compiled.found.to_text(), "");
    let report = testing::run(&compiled.rules.unwrap(), &compiled.tests, &Hosts::default());
    assert_eq!(report.found.to_text(), "");
}

#[test]
fn a_condition_that_fails_does_not_match() {
    let fixture = Fixture::new(
        "[[rule]]\nid = \"a\"\ntrap = \"*\"\nwhere = \"ifDescr|int > 0\"\ndrop = true\n\
         [[rule]]\nid = \"b\"\ntrap = \"*\"\nwhere = \"v[1] is number and ifIndex|int == 3\"\ndrop = true\n",
    );
    let message = trap("1.3.6.1.6.3.1.1.5.3", interface(2));
    let source = Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 };
    let hosts = Hosts::default();
    let explanation = fixture.rules.explain(&subject(&message, &source, &hosts));
    assert_eq!(explanation.matched.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["b"]);
}
