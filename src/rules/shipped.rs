//! The rule packs in `rules/`, built into the program.

use crate::rules::compile::{RuleFile, SHIPPED};

/// The shipped packs that are in force, behind the user's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Packs {
    /// All of them.
    #[default]
    All,
    /// Those of these names.
    Only(Vec<String>),
}

impl Packs {
    fn has(&self, name: &str) -> bool {
        match self {
            Packs::All => true,
            Packs::Only(names) => names.iter().any(|other| other == name),
        }
    }
}

/// The names of the packs, as `[rules] packs` has them.
pub fn names() -> impl Iterator<Item = &'static str> {
    PACKS.iter().map(|(file, _)| pack_name(file))
}

fn pack_name(file: &str) -> &str {
    file.strip_suffix(".toml").unwrap_or(file)
}

/// Whether a file is one of these packs as it is shipped, under its name.
pub fn is_copy(packs: &Packs, file: &str, text: &str) -> bool {
    PACKS.iter().any(|(name, shipped)| *name == file && packs.has(pack_name(name)) && *shipped == text)
}

/// The files of some packs.
pub fn files(packs: &Packs) -> Vec<RuleFile> {
    let wanted = PACKS.iter().filter(|(file, _)| packs.has(pack_name(file)));
    wanted
        .map(|(file, text)| RuleFile { name: format!("{SHIPPED}{file}").into(), text: (*text).into() })
        .collect()
}

/// The file names and texts of the shipped packs, in their order.
pub const PACKS: &[(&str, &str)] = &[
    ("apc.toml", include_str!("../../rules/apc.toml")),
    ("arcserve.toml", include_str!("../../rules/arcserve.toml")),
    ("arista-syslog.toml", include_str!("../../rules/arista-syslog.toml")),
    ("aruba.toml", include_str!("../../rules/aruba.toml")),
    ("bgp4.toml", include_str!("../../rules/bgp4.toml")),
    ("brocade.toml", include_str!("../../rules/brocade.toml")),
    ("checkin.toml", include_str!("../../rules/checkin.toml")),
    ("checkpoint.toml", include_str!("../../rules/checkpoint.toml")),
    ("cisco-syslog.toml", include_str!("../../rules/cisco-syslog.toml")),
    ("cisco.toml", include_str!("../../rules/cisco.toml")),
    ("dell-idrac.toml", include_str!("../../rules/dell-idrac.toml")),
    ("eaton.toml", include_str!("../../rules/eaton.toml")),
    ("environment.toml", include_str!("../../rules/environment.toml")),
    ("events.toml", include_str!("../../rules/events.toml")),
    ("f5.toml", include_str!("../../rules/f5.toml")),
    ("fortinet-syslog.toml", include_str!("../../rules/fortinet-syslog.toml")),
    ("fortinet.toml", include_str!("../../rules/fortinet.toml")),
    ("hpe-proliant.toml", include_str!("../../rules/hpe-proliant.toml")),
    ("hpe-syslog.toml", include_str!("../../rules/hpe-syslog.toml")),
    ("huawei-syslog.toml", include_str!("../../rules/huawei-syslog.toml")),
    ("huawei.toml", include_str!("../../rules/huawei.toml")),
    ("if-mib.toml", include_str!("../../rules/if-mib.toml")),
    ("juniper-syslog.toml", include_str!("../../rules/juniper-syslog.toml")),
    ("juniper.toml", include_str!("../../rules/juniper.toml")),
    ("mikrotik-syslog.toml", include_str!("../../rules/mikrotik-syslog.toml")),
    ("mikrotik.toml", include_str!("../../rules/mikrotik.toml")),
    ("net-snmp.toml", include_str!("../../rules/net-snmp.toml")),
    ("netapp.toml", include_str!("../../rules/netapp.toml")),
    ("netscaler.toml", include_str!("../../rules/netscaler.toml")),
    ("network.toml", include_str!("../../rules/network.toml")),
    ("ospf.toml", include_str!("../../rules/ospf.toml")),
    ("paloalto-syslog.toml", include_str!("../../rules/paloalto-syslog.toml")),
    ("paloalto.toml", include_str!("../../rules/paloalto.toml")),
    ("printer.toml", include_str!("../../rules/printer.toml")),
    ("security.toml", include_str!("../../rules/security.toml")),
    ("snmpv2-mib.toml", include_str!("../../rules/snmpv2-mib.toml")),
    ("ups.toml", include_str!("../../rules/ups.toml")),
    ("vmware.toml", include_str!("../../rules/vmware.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs that name everything by OID.
    const BY_OID: [&str; 19] = [
        "apc",
        "aruba",
        "brocade",
        "checkpoint",
        "cisco",
        "dell-idrac",
        "eaton",
        "f5",
        "fortinet",
        "hpe-proliant",
        "huawei",
        "juniper",
        "mikrotik",
        "netapp",
        "netscaler",
        "network",
        "paloalto",
        "printer",
        "vmware",
    ];

    fn value<'t>(rule: &'t str, key: &str) -> Option<&'t str> {
        rule.lines().find_map(|line| line.strip_prefix(key))
    }

    /// The service and the state of each rule of a pack that makes a check result.
    fn checks(text: &str) -> Vec<(&str, &str)> {
        let rules = text.split("[[rule]]").skip(1).filter(|rule| rule.contains("[rule.check]"));
        rules.filter_map(|rule| Some((value(rule, "service = ")?, value(rule, "state = ")?))).collect()
    }

    #[test]
    fn the_end_of_a_trouble_has_the_service_of_a_trouble() {
        for (file, text) in PACKS.iter().filter(|(file, _)| BY_OID.contains(&pack_name(file))) {
            let checks = checks(text);
            // What is wrong with a group of VRRP only lines say.
            let of_lines = |service: &str| service.starts_with("\"VRRP {{ oids[1]");
            let ends = checks.iter().filter(|(service, state)| *state == "\"ok\"" && !of_lines(service));
            for (service, _) in ends {
                let is_cleared = |(other, state): &&(&str, &str)| other == service && *state != "\"ok\"";
                assert!(
                    checks.iter().any(|check| is_cleared(&check)),
                    "{file}: nothing to clear for {service}"
                );
            }
        }
    }

    /// Without a vendor's module, and with one that gives another name, rules mean the same.
    #[test]
    fn packs_for_vendors_name_nothing() {
        for (file, text) in PACKS.iter().filter(|(file, _)| BY_OID.contains(&pack_name(file))) {
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                assert!(!line.contains("::"), "{file}: {line}");
            }
        }
    }

    /// What the packs make can be routed by what it is about.
    #[test]
    fn what_packs_make_has_a_category() {
        const CATEGORIES: [&str; 8] =
            ["network", "power", "environment", "hardware", "storage", "security", "system", "backup"];
        for (file, text) in PACKS {
            let mut rules = text.split("[[rule]]\n");
            let of_all = rules.next().unwrap();
            for rule in rules {
                let makes = rule.contains("[rule.check]") || rule.contains("[rule.event]");
                let given = [rule, of_all].into_iter().find_map(|text| text.split_once("category = \""));
                let category = given.and_then(|(_, rest)| rest.split('"').next());
                let known = category.is_some_and(|category| CATEGORIES.contains(&category));
                assert!(
                    known || !makes,
                    "{file}: the category {category:?} of {}",
                    rule.lines().next().unwrap()
                );
            }
        }
    }

    /// Packs for syslog.
    fn for_syslog() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        PACKS.iter().filter(|(file, _)| file.ends_with("-syslog.toml"))
    }

    /// What is before the first variable of a service.
    fn fixed(service: &str) -> &str {
        service.split_once('{').map_or(service, |(fixed, _)| fixed)
    }

    /// A line and a trap about the same thing have one service, so that either clears the other. What is not: things that
    /// have no trap.
    #[test]
    fn packs_for_syslog_have_the_services_of_traps() {
        let services = |text: &'static str| {
            let services =
                text.lines().filter_map(|line| line.strip_prefix("service")?.trim_start().strip_prefix("= "));
            services.map(fixed)
        };
        let of_traps: Vec<&str> = PACKS
            .iter()
            .filter(|(file, _)| !file.ends_with("-syslog.toml") && *file != "security.toml")
            .flat_map(|(_, text)| services(text))
            .collect();
        assert!(for_syslog().count() >= 8);
        for (file, text) in for_syslog() {
            for service in services(text) {
                let known = ["\"Logins\"", "\"Alarm "].contains(&service);
                assert!(known || of_traps.contains(&service), "{file}: no trap has the service {service}");
            }
        }
    }

    /// Each service that a line makes red another line makes green, but those that recover on their own.
    #[test]
    fn lines_clear_what_lines_report() {
        for (file, text) in for_syslog() {
            let mut expected: std::collections::BTreeMap<&str, (bool, bool)> =
                std::collections::BTreeMap::new();
            for rule in text.split("[[rule]]").skip(1).filter(|rule| !rule.contains("\nthreshold = ")) {
                let Some(service) =
                    rule.contains("[rule.check]").then(|| value(rule, "service = ")).flatten()
                else {
                    continue;
                };
                let (ok, trouble) = expected.entry(service).or_default();
                for test in rule.lines().filter(|line| line.starts_with("expect = ")) {
                    *if test.contains("state = \"ok\"") { &mut *ok } else { &mut *trouble } = true;
                }
            }
            assert!(!expected.is_empty(), "{file}");
            for (service, both) in expected {
                assert_eq!(both, (true, true), "{file}: {service}: (cleared, reported)");
            }
        }
    }

    /// The service that the packs make of a message, and what its problem is told apart by.
    fn problem_of(
        rules: &crate::rules::RuleSet,
        message: &crate::message::Message<'_>,
    ) -> Option<(String, Option<String>)> {
        let source = crate::message::Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 };
        let hosts = crate::lookup::hosts::Hosts::default();
        let mut made = None;
        let subject = crate::rules::tests::subject(message, &source, &hosts);
        rules.apply_keyed(&subject, &mut crate::rules::Scratch::default(), |emitted| {
            if let crate::outcome::result::Outcome::CheckResult(check) = emitted.outcome {
                let key = emitted.keys.key.map(str::to_owned);
                made = check.service.as_ref().map(|service| (service.to_string(), key));
            }
        });
        made
    }

    #[test]
    fn a_trap_and_a_line_about_one_thing_are_one_problem() {
        use crate::message::{Message, Value, Varbind};
        use crate::rules::tests::{mib, trap};
        let mut packs: Vec<String> = ["if-mib", "bgp4", "ospf", "paloalto"].map(str::to_owned).into();
        packs.extend(for_syslog().map(|(file, _)| pack_name(file).to_owned()));
        let rules = crate::rules::compile::compile(&files(&Packs::Only(packs)), mib()).rules.unwrap();
        let bind = |oid: &str, value| Varbind { oid: oid.parse().unwrap(), value };
        let address = |text: &str| Value::IpAddress(text.parse().unwrap());
        let link = |name: &'static str| {
            trap(
                "1.3.6.1.6.3.1.1.5.3",
                vec![bind("1.3.6.1.2.1.2.2.1.2.3", Value::OctetString(name.as_bytes()))],
            )
        };
        let bgp = || {
            trap(
                "1.3.6.1.2.1.15.0.2",
                vec![bind("1.3.6.1.2.1.15.3.1.7.198.51.100.2", address("198.51.100.2"))],
            )
        };
        let ospf = || {
            let varbinds = vec![
                bind("1.3.6.1.2.1.14.10.1.3.192.0.2.17.0", address("10.0.0.9")),
                bind("1.3.6.1.2.1.14.10.1.6.192.0.2.17.0", Value::Integer(1)),
            ];
            trap("1.3.6.1.2.1.14.16.2.2", varbinds)
        };
        let paloalto = |number: u32, text: &'static str| {
            trap(
                &format!("1.3.6.1.4.1.25461.2.1.3.2.0.{number}"),
                vec![
                    bind("1.3.6.1.4.1.25461.2.1.3.1.303.0", Value::Integer(4)),
                    bind("1.3.6.1.4.1.25461.2.1.3.1.304.0", Value::OctetString(text.as_bytes())),
                ],
            )
        };
        for (trap, line) in [
            (
                paloalto(1200, "Port ethernet1/1: Down 1Gb/s-full duplex"),
                "<14>Nov 20 12:00:01 fw2 1,2026/11/20 12:00:01,001122334455,SYSTEM,port,0,2026/11/20 12:00:01,,link-change,ethernet1/1,0,0,general,informational,Port ethernet1/1: Up   1Gb/s-full duplex,4712,0x0",
            ),
            (
                paloalto(
                    1532,
                    "BGP peer session left established state, peer name: ISP-1, peer IP: 198.51.100.2.",
                ),
                "<14>Nov 20 12:00:01 fw2 1,2026/11/20 12:00:01,001122334455,SYSTEM,routing,0,2026/11/20 12:00:01,,routed-BGP-peer-enter-established,vr1,0,0,general,informational,\"BGP peer session entered established state, peer name: ISP-1, peer IP: 198.51.100.2.\",4714,0x0",
            ),
            (
                paloalto(
                    1525,
                    "OSPF adjacency with neighbor has gone down. interface tunnel.1, neighbor router ID 10.0.0.9, neighbor IP address 192.0.2.17.",
                ),
                "<14>Nov 20 12:00:01 fw2 1,2026/11/20 12:00:01,001122334455,SYSTEM,routing,0,2026/11/20 12:00:01,,routed-OSPF-neighbor-full,vr1,0,0,general,informational,\"OSPF full adjacency established with neighbor. interface tunnel.1, neighbor router ID 10.0.0.9, neighbor IP address 192.0.2.17.\",4716,0x0",
            ),
            (
                link("GigabitEthernet0/8"),
                "<187>1: Nov 20 12:00:01.4: %LINK-3-UPDOWN: Interface GigabitEthernet0/8, changed state to up",
            ),
            (
                link("Ethernet1/1"),
                "<189>: 2026 Nov 20 12:00:01 UTC: %ETHPORT-5-IF_UP: Interface Ethernet1/1 is up in mode access",
            ),
            (
                link("Ethernet1"),
                "<189>Nov 20 12:00:01 leaf1 Ebra: %LINEPROTO-5-UPDOWN: Line protocol on Interface Ethernet1, changed state to up",
            ),
            (
                link("ge-1/0/1"),
                "<28>Nov 20 12:00:01 mx1 mib2d[1]: SNMP_TRAP_LINK_UP: ifIndex 531, ifAdminStatus up(1), ifOperStatus up(1), ifName ge-1/0/1",
            ),
            (
                link("GigabitEthernet1/0/6"),
                "<187>2026-11-20T12:00:01 sw2 %%10IFNET/3/LINK_UPDOWN(l): GigabitEthernet1/0/6 link status is UP.",
            ),
            (link("ether9"), "<30>Nov 20 12:00:01 rb1 interface,info ether9 link up (speed 1G, full duplex)"),
            (bgp(), "<189>1: Nov 20 12:00:01.4: %BGP-5-ADJCHANGE: neighbor 198.51.100.2 Up "),
            (
                ospf(),
                "<189>1: Nov 20 12:00:01.4: %OSPF-5-ADJCHG: Process 1, Nbr 10.0.0.9 on Gi0/0 from LOADING to FULL, Loading Done",
            ),
        ] {
            let by_trap = problem_of(&rules, &trap);
            assert!(by_trap.is_some());
            assert_eq!(
                problem_of(&rules, &Message::Syslog(crate::syslog::parse_line(line, 0))),
                by_trap,
                "{line}"
            );
        }
    }

    #[test]
    fn packs_are_chosen_by_name() {
        assert_eq!(files(&Packs::All).len(), PACKS.len());
        let some = files(&Packs::Only(vec!["ups".to_owned(), "if-mib".to_owned()]));
        let names: Vec<&str> = some.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["shipped rules/if-mib.toml", "shipped rules/ups.toml"]);
        assert!(names.iter().all(|name| crate::rules::compile::is_shipped(name)));
        assert!(files(&Packs::Only(Vec::new())).is_empty());
    }
}
