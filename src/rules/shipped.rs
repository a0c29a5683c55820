//! The rule packs in `rules/`, built into the program.

/// The file names and texts of the shipped packs, in their order.
pub const PACKS: &[(&str, &str)] = &[
    ("arcserve.toml", include_str!("../../rules/arcserve.toml")),
    ("bgp4.toml", include_str!("../../rules/bgp4.toml")),
    ("environment.toml", include_str!("../../rules/environment.toml")),
    ("if-mib.toml", include_str!("../../rules/if-mib.toml")),
    ("net-snmp.toml", include_str!("../../rules/net-snmp.toml")),
    ("ospf.toml", include_str!("../../rules/ospf.toml")),
    ("security.toml", include_str!("../../rules/security.toml")),
    ("snmpv2-mib.toml", include_str!("../../rules/snmpv2-mib.toml")),
    ("ups.toml", include_str!("../../rules/ups.toml")),
];
