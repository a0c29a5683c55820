//! The messages that all benchmarks use.

use trapline::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use trapline::outcome::result::{CheckResult, Common, Outcome, State};

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
