use std::sync::Arc;

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::{Expected, line, notification, pairs};
use crate::import::mib::Comments;
use crate::lookup::hosts::Hosts;
use crate::message::{Message, Notification, NotificationKind, Oid, Value, Varbind, Version};
use crate::mib::load::shipped_once;
use crate::rules::compile::{RuleFile, compile};
use crate::rules::testing::{self, TEST_TIME};
use crate::snmp::encode::encode;
use crate::syslog::parse_line;

/// What is wrong with rules, or fails in their tests; nothing if they are right and have a test.
fn wrong(text: &str) -> String {
    let compiled = compile(&[RuleFile { name: "new.toml".into(), text: text.into() }], shipped_once());
    let Some(rules) = compiled.rules else { return compiled.found.to_text() };
    let report = testing::run(&rules, &compiled.tests, &Hosts::default());
    if report.passed == 0 { "no test".to_owned() } else { report.found.to_text() }
}

/// The rule of a line, with its test.
fn of_line(raw: &str, state: &str) -> String {
    line(&parse_line(raw, TEST_TIME), raw)
        .with_test(&Expected { service: None, state: state.to_owned() })
        .replace("service = \"\", ", "")
}

fn trap(oid: &str, varbinds: Vec<(&str, Value<'static>)>) -> Notification<'static> {
    Notification {
        varbinds: varbinds
            .into_iter()
            .map(|(oid, value)| Varbind { oid: oid.parse::<Oid<'static>>().unwrap(), value })
            .collect(),
        version: Version::V2c,
        kind: NotificationKind::Trap,
        community: b"",
        proxied_community: None,
        security: None,
        request_id: 0,
        oid: oid.parse().unwrap(),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(0),
    }
}

#[test]
fn numbers_addresses_and_quoted_text_of_a_line_become_groups() {
    let raw = "<36>Nov 20 12:00:01 db1 sshd[411]: Failed password for root from 192.0.2.7 port 4022 (\"x\") try a1.";
    insta::assert_snapshot!(of_line(raw, "warning"));
    assert_eq!(wrong(&of_line(raw, "warning")), "");
}

#[test]
fn a_notification_of_a_module_gets_what_its_definition_says_and_its_pair() {
    let trap = trap(
        "1.3.6.1.6.3.1.1.5.3",
        vec![
            ("1.3.6.1.2.1.2.2.1.1.3", Value::Integer(3)),
            ("1.3.6.1.2.1.2.2.1.7.3", Value::Integer(1)),
            ("1.3.6.1.2.1.2.2.1.8.3", Value::Integer(2)),
        ],
    );
    let packet = encode(&trap);
    let mib = shipped_once();
    let draft = notification(&mib, &Comments::default(), &trap, &HEXLOWER.encode(&packet));
    let text = draft.with_test(&Expected { service: None, state: "critical".to_owned() });
    let pairs = pairs(&mib, &Comments::default(), &trap);
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    assert!(pairs[0].contains("IF-MIB::linkUp"), "{pairs:?}");
    assert_eq!(wrong(&format!("{text}\n{}", pairs[0])), "", "{text}");
    insta::assert_snapshot!(text.replace(&HEXLOWER.encode(&packet), "HEX"));
}

#[test]
fn a_notification_that_no_module_defines_has_all_its_values_in_the_output() {
    let trap = trap(
        "1.3.6.1.4.1.99999.1.0.7",
        vec![
            ("1.3.6.1.4.1.99999.2.1.0", Value::OctetString(b"fan 2")),
            ("1.3.6.1.2.1.2.2.1.2.3", Value::OctetString(b"Gi0/3")),
        ],
    );
    let packet = encode(&trap);
    let draft =
        notification(&Arc::clone(&shipped_once()), &Comments::default(), &trap, &HEXLOWER.encode(&packet));
    let text = draft.with_test(&Expected { service: None, state: "warning".to_owned() });
    assert_eq!(wrong(&text), "", "{text}");
    insta::assert_snapshot!(text.replace(&HEXLOWER.encode(&packet), "HEX"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a line says, its rule passes the check and takes the line.
    #[test]
    fn the_rule_of_a_line_takes_it(
        priority in "(<[0-9]{1,3}>)?", head in "(Nov 20 12:00:01 [a-z]{1,4} |1 2026-11-20T12:00:01Z h )?",
        program in "([a-z*?/{}'\"\\\\-]{1,8}(\\[[0-9]{1,4}\\])?: )?",
        message in "([ -~]|[0-9]{1,4}|10\\.0\\.0\\.[0-9]|\"[a-z{}]{0,4}\"|\\PC){0,40}",
    ) {
        let raw = format!("{priority}{head}{program}{message}");
        let parsed = parse_line(&raw, TEST_TIME);
        let critical = parsed.severity.is_some_and(|severity| severity <= 3);
        let text = of_line(&raw, if critical { "critical" } else { "warning" });
        prop_assert_eq!(wrong(&text), "", "{}\n{}", raw, text);
        prop_assert!(!matches!(Message::Syslog(parsed), Message::Notification(_)));
    }
}

/// The rule of a notification, with its test.
fn of_trap(observed: &Notification<'_>, state: &str) -> String {
    let hex = HEXLOWER.encode(&encode(observed));
    notification(&shipped_once(), &Comments::default(), observed, &hex)
        .with_test(&Expected { service: None, state: state.to_owned() })
        .replace("service = \"\", ", "")
}

#[test]
fn what_a_message_carries_besides_its_definition_is_in_the_rule() {
    let down = trap(
        "1.3.6.1.6.3.1.1.5.3",
        vec![
            ("1.3.6.1.2.1.2.2.1.1.4", Value::Integer(4)),
            ("1.3.6.1.2.1.2.2.1.7.4", Value::Integer(1)),
            ("1.3.6.1.2.1.2.2.1.8.4", Value::Integer(2)),
            ("1.3.6.1.2.1.2.2.1.2.4", Value::OctetString(b"Gi0/4")),
            ("1.3.6.1.4.1.99999.1.4", Value::OctetString(b"Keepalive failed")),
            // What a proxy adds.
            ("1.3.6.1.6.3.18.1.3.0", Value::IpAddress([192, 0, 2, 1].into())),
        ],
    );
    let text = of_trap(&down, "critical");
    assert!(text.contains("service = \"Link {{ index['IF-MIB::ifIndex'] }}\""), "{text}");
    assert!(text.contains("descr {{ v['IF-MIB::ifDescr'] }}, value 5 {{ v[5] }}\""), "{text}");
    assert!(!text.contains("snmpTrapAddress"), "{text}");
    assert_eq!(wrong(&text), "");
}

#[test]
fn objects_that_modules_define_tell_the_instances_of_an_unknown_notification_apart() {
    let status = vec![
        ("1.3.6.1.2.1.2.2.1.8.4", Value::Integer(2)),
        ("1.3.6.1.4.1.99999.1.4", Value::OctetString(b"x")),
    ];
    let text = of_trap(&trap("1.3.6.1.4.1.99999.0.7", status), "critical");
    assert!(text.contains("service = \"Trap 99999.0.7 {{ index['IF-MIB::ifIndex'] }}\""), "{text}");
    assert!(text.contains("# State: read from IF-MIB::ifOperStatus.") && !text.contains("WARNING"), "{text}");
    assert_eq!(wrong(&text), "");
    let nothing = of_trap(
        &trap("1.3.6.1.4.1.99999.0.7", vec![("1.3.6.1.4.1.99999.1.4", Value::Integer(1))]),
        "warning",
    );
    assert!(
        nothing.contains("WARNING: one for all instances") && nothing.contains("not known from the packet"),
        "{nothing}"
    );
    assert_eq!(wrong(&nothing), "");
}
