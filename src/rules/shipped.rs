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
    ("bgp4.toml", include_str!("../../rules/bgp4.toml")),
    ("cisco.toml", include_str!("../../rules/cisco.toml")),
    ("dell-idrac.toml", include_str!("../../rules/dell-idrac.toml")),
    ("eaton.toml", include_str!("../../rules/eaton.toml")),
    ("environment.toml", include_str!("../../rules/environment.toml")),
    ("f5.toml", include_str!("../../rules/f5.toml")),
    ("fortinet.toml", include_str!("../../rules/fortinet.toml")),
    ("hpe-proliant.toml", include_str!("../../rules/hpe-proliant.toml")),
    ("huawei.toml", include_str!("../../rules/huawei.toml")),
    ("if-mib.toml", include_str!("../../rules/if-mib.toml")),
    ("juniper.toml", include_str!("../../rules/juniper.toml")),
    ("mikrotik.toml", include_str!("../../rules/mikrotik.toml")),
    ("net-snmp.toml", include_str!("../../rules/net-snmp.toml")),
    ("netapp.toml", include_str!("../../rules/netapp.toml")),
    ("network.toml", include_str!("../../rules/network.toml")),
    ("ospf.toml", include_str!("../../rules/ospf.toml")),
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
    const BY_OID: [&str; 14] = [
        "apc",
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
        "network",
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
            for (service, _) in checks.iter().filter(|(_, state)| *state == "\"ok\"") {
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
