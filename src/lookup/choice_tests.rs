use super::*;
use crate::lookup::networks::ByNetwork;
use crate::message::{Notification, NotificationKind, Oid, Security, Version};
use crate::syslog::parse_line;

/// What a row sends.
enum Sent {
    /// A v1 trap with this agent address.
    V1(&'static str),
    /// A v3 trap of this engine and level.
    V3(&'static [u8], SecurityLevel),
    /// A line of syslog.
    Line(&'static str),
}

use Sent::{Line, V1, V3};

const SENDER: &str = "198.51.100.7";
const ENGINE: &[u8] = b"\x80\x00\x1f\x88\x04trapl";

fn notification() -> Notification<'static> {
    Notification {
        version: Version::V1,
        kind: NotificationKind::Trap,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id: 0,
        oid: Oid::from_arcs(&[1, 3]).unwrap(),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: None,
        varbinds: Vec::new(),
    }
}

fn message(sent: &Sent) -> Message<'static> {
    match sent {
        V1(agent) => {
            Message::Notification(Notification { agent: Some(agent.parse().unwrap()), ..notification() })
        }
        V3(engine, level) => {
            let security =
                Security { user: "ops", level: *level, context: b"", engine, relay: false, of_engine: true };
            Message::Notification(Notification { security: Some(security), ..notification() })
        }
        Line(line) => Message::Syslog(parse_line(line, 1_795_262_400_000_000)),
    }
}

fn hosts(map: &[(&str, &str)]) -> Hosts {
    let mut hosts = Hosts::default();
    for (key, name) in map {
        hosts.insert(key, name);
    }
    hosts
}

/// The host of a message from a sender, and what was said of each candidate.
fn host(hosts: &Hosts, sent: &Sent, (sender, relay): (&str, bool)) -> (String, Agent, Vec<String>) {
    let source = Source { peer: (sender.parse::<IpAddr>().unwrap(), 1).into(), received: 0 };
    let message = message(sent);
    let received =
        Received { message: &message, source: &source, address: sender, relay, reverse: &|_| None };
    let mut seen = Vec::new();
    let choice = hosts.choose(&received, Some(&mut seen));
    assert_eq!(hosts.choose(&received, None), choice);
    (choice.host.into_owned(), choice.agent, seen.iter().map(|c| c.in_words(sender)).collect())
}

/// The first candidate that is known wins, otherwise the first that can name a host.
#[test]
fn who_is_the_host() {
    let none: &[(&str, &str)] = &[];
    let edge1: &[(&str, &str)] = &[(SENDER, "edge1")];
    let full: &[(&str, &str)] = &[("fw1.example.org", "firewall")];
    let management = regex::Regex::new("^(.+)-mgmt$").unwrap();
    for (map, sent, expected) in [
        // Agents that no host is reached by.
        (none, V1("127.0.0.1"), SENDER),
        (edge1, V1("127.0.0.1"), "edge1"),
        (&[("127.0.0.1", "printer")], V1("127.0.0.1"), SENDER),
        (none, V1("169.254.3.4"), SENDER),
        (none, V1("224.0.0.1"), SENDER),
        (none, V1("255.255.255.255"), SENDER),
        (none, V1("0.1.2.3"), SENDER),
        // An agent behind address translation.
        (edge1, V1("192.168.1.1"), "edge1"),
        (none, V1("192.168.1.1"), "192.168.1.1"),
        (&[("192.168.1.1", "inner"), (SENDER, "edge1")], V1("192.168.1.1"), "inner"),
        (none, V1(SENDER), SENDER),
        // Names of lines that are none.
        (none, Line("<190>Nov 24 10:00:00 timestamp=1683715550 devname=\"fw1\" policy=5"), SENDER),
        (none, Line("<134>Nov 24 10:00:00 2026 ap1 stm[1234]: x"), "ap1"),
        (none, Line("<134>Nov 24 10:00:00 4711 stm[1234]: x"), SENDER),
        (none, Line("<30>Nov 24 07:13:39 [localhost] systemd: x"), SENDER),
        (edge1, Line("<30>Nov 24 07:13:39 localhost systemd: x"), "edge1"),
        (none, Line("<30>Nov 24 07:13:39 127.0.0.1 systemd: x"), SENDER),
        (none, Line("<30>Nov 24 07:13:39 localhost.localdomain systemd: x"), SENDER),
        (none, Line("<30>Nov 24 07:13:39 systemd[1]: x"), SENDER),
        // Names of lines that are.
        (none, Line("<30>Nov 24 07:13:39 fw1 systemd: x"), "fw1"),
        (none, Line("<30>1 2026-11-24T10:00:00Z FW1.example.org. app - - - x"), "fw1.example.org"),
        (edge1, Line("<30>Nov 24 07:13:39 fw1 systemd: x"), "edge1"),
        (full, Line("<30>Nov 24 07:13:39 fw1 systemd: x"), "firewall"),
        (full, Line("<30>Nov 24 07:13:39 FW1.EXAMPLE.ORG systemd: x"), "firewall"),
        (&[("fw1", "firewall")], Line("<30>1 2026-11-24T10:00:00Z fw1.example.org app - - - x"), "firewall"),
        (&[("fw1", "firewall")], Line("<30>Nov 24 07:13:39 fw1-mgmt systemd: x"), "firewall"),
        (&[("fw1-mgmt", "management")], Line("<30>Nov 24 07:13:39 fw1-mgmt systemd: x"), "management"),
        (none, Line("<30>Nov 24 07:13:39 DB1-mgmt systemd: x"), "db1"),
        (edge1, Line("<30>Nov 24 07:13:39 198.51.100.7 systemd: x"), "edge1"),
        (&[("192.0.2.9", "db9")], Line("<30>Nov 24 07:13:39 ::ffff:192.0.2.9 systemd: x"), "db9"),
        // Engines.
        (&[("0x80001f8804747261706c", "ups1")], V3(ENGINE, SecurityLevel::AuthNoPriv), "ups1"),
        (
            &[("0x80001f8804747261706c", "ups1"), (SENDER, "edge1")],
            V3(ENGINE, SecurityLevel::AuthPriv),
            "edge1",
        ),
        (&[("0x80001f8804747261706c", "ups1")], V3(ENGINE, SecurityLevel::NoAuthNoPriv), SENDER),
        (none, V3(ENGINE, SecurityLevel::AuthPriv), SENDER),
        (none, V3(b"", SecurityLevel::AuthPriv), SENDER),
    ] {
        let mut hosts = hosts(map);
        hosts.spelling.lower = true;
        hosts.spelling.domains = vec!["example.org".into()];
        hosts.spelling.rewrite = vec![(management.clone(), "$1".to_owned())];
        let (got, _, seen) = host(&hosts, &sent, (SENDER, true));
        assert_eq!(got, expected, "{seen:?}");
    }
}

/// One printer with the community must not close the alarm of a core router.
#[test]
fn only_a_relay_speaks_for_others() {
    let map = [("192.0.2.1", "core-router"), ("127.0.0.1", "printer"), ("192.0.2.2", "core-router")];
    let hosts = hosts(&map);
    let agent = "192.0.2.1".parse().unwrap();
    for (sender, relay, expected, became) in [
        ("127.0.0.1", true, "core-router", Agent::Believed),
        ("127.0.0.1", false, "printer", Agent::Refused(agent)),
        ("198.51.100.7", true, "core-router", Agent::Believed),
        ("198.51.100.7", false, "198.51.100.7", Agent::Refused(agent)),
        // The same host by another of its addresses.
        ("192.0.2.2", false, "core-router", Agent::Believed),
        ("192.0.2.1", false, "core-router", Agent::None),
    ] {
        let (got, agent, seen) = host(&hosts, &V1("192.0.2.1"), (sender, relay));
        assert_eq!((got.as_str(), agent), (expected, became), "{sender} {relay} {seen:?}");
    }
    // Two that nobody knows are not the same host.
    let (got, agent, seen) = host(&Hosts::default(), &V1("192.0.2.1"), ("198.51.100.7", false));
    assert_eq!((got.as_str(), agent), ("198.51.100.7", Agent::Refused("192.0.2.1".parse().unwrap())));
    assert_eq!(
        seen,
        [
            "agent 192.0.2.1: 198.51.100.7 claims to be 192.0.2.1: not a relay",
            "sender 198.51.100.7: not known"
        ]
    );
    // What names no host claims nothing.
    for relay in [true, false] {
        let (_, agent, _) = host(&Hosts::default(), &V1("127.0.0.1"), ("198.51.100.7", relay));
        assert_eq!(agent, Agent::None);
    }
}

#[test]
fn the_sender_goes_first_where_it_is_preferred() {
    let mut hosts = hosts(&[("192.168.1.1", "inner"), ("203.0.113.1", "customer"), ("ups1", "ups1")]);
    let preferred = [("203.0.113.0/24", Prefer::Sender), ("203.0.113.9/32", Prefer::Claim)];
    hosts.prefer = ByNetwork::new(preferred.map(|(net, prefer)| (net.parse().unwrap(), prefer)).into());
    for (sender, sent, expected) in [
        ("203.0.113.1", V1("192.168.1.1"), "customer"),
        ("203.0.113.2", V1("192.168.1.1"), "inner"),
        ("203.0.113.2", V1("192.168.1.2"), "203.0.113.2"),
        ("203.0.113.9", V1("192.168.1.1"), "inner"),
        ("198.51.100.7", V1("192.168.1.1"), "inner"),
        ("203.0.113.1", Line("<30>Nov 24 07:13:39 ups1 upsd: x"), "customer"),
        ("203.0.113.2", Line("<30>Nov 24 07:13:39 ups2 upsd: x"), "203.0.113.2"),
    ] {
        assert_eq!(host(&hosts, &sent, (sender, true)).0, expected, "{sender}");
    }
}

#[test]
fn names_in_the_dns_are_names() {
    let mut hosts = hosts(&[("fw1.example.org", "firewall"), ("192.0.2.3", "db3")]);
    hosts.spelling.lower = true;
    let reverse = |address: IpAddr| match address.to_string().as_str() {
        "192.0.2.1" => Some("fw1.example.org".to_owned()),
        "192.0.2.2" => Some("DB2.example.org".to_owned()),
        "192.0.2.3" => Some("other.example.org".to_owned()),
        "192.0.2.4" => Some("localhost".to_owned()),
        _ => None,
    };
    for (sender, sent, expected, source_name) in [
        // As Nagios knows hosts whose address is a name.
        ("192.0.2.1", Line("<30>Nov 24 07:13:39 app[1]: x"), "firewall", Some("firewall")),
        ("192.0.2.1", Line("<30>Nov 24 07:13:39 h9 app[1]: x"), "firewall", Some("firewall")),
        ("192.0.2.2", Line("<30>Nov 24 07:13:39 app[1]: x"), "db2.example.org", Some("db2.example.org")),
        ("192.0.2.2", Line("<30>Nov 24 07:13:39 h9 app[1]: x"), "h9", Some("db2.example.org")),
        ("192.0.2.3", Line("<30>Nov 24 07:13:39 app[1]: x"), "db3", Some("db3")),
        ("192.0.2.4", Line("<30>Nov 24 07:13:39 app[1]: x"), "192.0.2.4", None),
        ("192.0.2.9", V1("192.0.2.1"), "firewall", None),
    ] {
        let source = Source { peer: (sender.parse::<IpAddr>().unwrap(), 1).into(), received: 0 };
        let message = message(&sent);
        let received =
            Received { message: &message, source: &source, address: sender, relay: true, reverse: &reverse };
        let choice = hosts.choose(&received, None);
        assert_eq!((&*choice.host, choice.source_name.as_deref()), (expected, source_name), "{sender}");
    }
}

/// A line's host counts only of a relay, or if the table knows it as its sender.
#[test]
fn a_line_names_another_host_only_if_its_sender_may() {
    let line = |host: &str| format!("<30>Nov 24 07:13:39 {host} systemd: x");
    let known: &[(&str, &str)] =
        &[(SENDER, "edge1"), ("edge1.example.org", "edge1"), ("core.example.org", "core")];
    for (map, named, relay, expected, agent) in [
        (known, "core.example.org", true, "core", Agent::None),
        (known, "core.example.org", false, "edge1", Agent::RefusedName),
        (known, "edge1.example.org", false, "edge1", Agent::None),
        (known, SENDER, false, "edge1", Agent::None),
        (known, "192.0.2.200", false, "edge1", Agent::RefusedName),
        (&[], "core", true, "core", Agent::None),
        (&[], "core", false, SENDER, Agent::RefusedName),
        (&[], "localhost", false, SENDER, Agent::None),
    ] {
        let line = Line(Box::leak(line(named).into_boxed_str()));
        let (host, found, said) = host(&hosts(map), &line, (SENDER, relay));
        assert_eq!((host.as_str(), found), (expected, agent), "{named} {relay}: {said:?}");
        assert_eq!(said.iter().any(|text| text.contains("not a relay")), agent == Agent::RefusedName);
    }
}
