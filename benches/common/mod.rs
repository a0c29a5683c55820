//! The messages that all benchmarks use.

use trapline::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use trapline::outcome::result::{CheckResult, Common, Labels, Outcome, State};

/// A refused connection, as a host ships it.
pub const LINE: &str =
    "<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)";
/// 2026-11-20 12:00 UTC in microseconds.
pub const NOW: i64 = 1_795_176_000_000_000;

/// A v2c linkDown of an interface with this description.
pub fn packet(description: &str, kind: NotificationKind, request_id: i32) -> Vec<u8> {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    let varbind = |column: u8, value| Varbind { oid: oid(&format!("1.3.6.1.2.1.2.2.1.{column}.3")), value };
    trapline::snmp::encode::encode(&Notification {
        version: Version::V2c,
        kind,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id,
        oid: oid("1.3.6.1.6.3.1.1.5.3"),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(100),
        varbinds: vec![
            varbind(1, Value::Integer(3)),
            varbind(7, Value::Integer(1)),
            varbind(8, Value::Integer(2)),
            varbind(2, Value::OctetString(description.as_bytes())),
        ],
    })
}

/// What a rule makes of it.
pub fn check_result() -> CheckResult<'static> {
    CheckResult {
        common: Common {
            time: NOW,
            rule: "link-down".into(),
            state: State::Critical,
            output: "Link down on GigabitEthernet0/3 (admin up, oper down)".into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
            labels: Labels::default(),
        },
        host: "router1".into(),
        service: Some("Interface GigabitEthernet0/3".into()),
        perfdata: "".into(),
    }
}

/// The same, as an outcome.
pub fn outcome() -> Outcome<'static> {
    Outcome::CheckResult(check_result())
}

/// As many rules as asked for; the load is taken by one in the middle.
pub fn rule_file(count: usize) -> String {
    let mut text = String::new();
    let check = "[rule.check]\nservice = \"S\"\nstate = \"critical\"\noutput = \"{{ text }}\"\n";
    for n in 0..count {
        let matcher = match n % 3 {
            0 => format!("trap = \"1.3.6.1.4.1.{}.0.{n}\"", 90_000 + n),
            1 => format!("trap = \"1.3.6.1.4.1.{}.*\"", 90_000 + n),
            _ => format!("syslog = {{ message = 'event number {n} of (?<who>\\w+)' }}"),
        };
        text.push_str(&format!("[[rule]]\nid = \"other-{n}\"\n{matcher}\n{check}\n"));
        if n == count / 2 {
            text.push_str(
                "[[rule]]\nid = \"link-down\"\ntrap = \"IF-MIB::linkDown\"\nwhere = \"ifAdminStatus == 'up'\"\n[rule.check]\n\
                 host = \"{{ host }}\"\nservice = \"Interface {{ ifDescr }}\"\nstate = \"critical\"\n\
                 output = \"Link down on {{ ifDescr }} (admin {{ ifAdminStatus }}, oper {{ ifOperStatus }})\"\n\
                 [[rule]]\nid = \"tcp-wrappers-refused\"\nsyslog = { tcp_wrappers = \"refused\" }\n[rule.check]\n\
                 host = \"{{ host }}\"\nservice = \"TCP Wrappers\"\nstate = \"critical\"\n\
                 output = \"Denied {{ client_host }} ({{ client_address }}) - {{ program }}\"\n\
                 [[rule]]\nid = \"pattern\"\nsyslog = { message = 'door (?<door>\\d+) was opened' }\n[rule.check]\n\
                 service = \"Doors\"\nstate = \"warning\"\noutput = \"Door {{ door }}\"\n",
            );
        }
    }
    text
}
